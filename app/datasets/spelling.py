"""How files spell what is true, and what is missing: see also `table.MISSING_WORDS`."""

FAMILIES_OF_TRUTH = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("off", "on"))
"""False before true, which is the order of code points, too."""

TRUTH = {word: bool(i) for family in FAMILIES_OF_TRUTH for i, word in enumerate(family)}
"""By lower-case word. All but the first family only where both of its words occur, unless it is asked for."""

DIGIT_TRUTH = {"0": False, "1": True}
"""Only where it is asked for: else they are numbers."""
