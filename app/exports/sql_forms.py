"""SQLite's SQL for values, for sums, for f, and for what an encoding does."""

import math
from collections.abc import Sequence

import numpy as np

from app.engine.normal import tail_coefficients
from app.exports.recipe import BooleanInput, CategoryInput, DateInput, Input, NumberInput, Unportable

MISSING = "'', 'nan', 'na', 'n/a', 'null', 'none', '?'"
MOST_ARGUMENTS = 100
"""A function takes 127."""

MOST_TERMS = 8
"""Of a sum without brackets: SQLite reads no expression that is over 1,000 deep."""


def number(value: object) -> str:
    """The shortest text that reads back to the same float64. Raises Unportable for what is not finite."""
    plain = float(value)  # type: ignore[arg-type]
    if not np.isfinite(plain):
        raise Unportable("SQL has no numbers that are not finite.")
    return f"({plain!r})" if repr(plain).startswith("-") else repr(plain)


def text(value: str) -> str:
    """A string; SQLite's own ends at a NUL."""
    parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
    return parts[0] if len(parts) == 1 else f"({' || char(0) || '.join(parts)})"


def identifier(name: str) -> str:
    """A name in quotes. Raises Unportable for one with a NUL."""
    if "\0" in name:
        raise Unportable("SQL has no names with a NUL in them.")
    return '"' + name.replace('"', '""') + '"'


def total(terms: Sequence[str]) -> str:
    """The sum, in brackets, halved again and again."""
    if len(terms) <= MOST_TERMS:
        return f"({' + '.join(terms)})"
    half = len(terms) // 2
    return f"({total(terms[:half])} + {total(terms[half:])})"


def largest(names: Sequence[str]) -> str:
    """The greatest of them. (``max`` of one is an aggregate.)"""
    names = list(names)
    while len(names) > 1:
        groups = [names[i : i + MOST_ARGUMENTS] for i in range(0, len(names), MOST_ARGUMENTS)]
        names = [f"max({', '.join(group)})" if len(group) > 1 else group[0] for group in groups]
    return names[0]


def encoded(each: Input, raw: str) -> list[str]:
    """The input columns of a raw one. NULL for what cannot be, as a text where a number is wanted."""
    match each.indicator:
        case "none":
            return _own(each, raw)
        case "silent":
            return [*_own(each, raw), "0.0"]
        case "active":
            return [*_own(each, raw), f"CASE WHEN {_is_missing(raw)} THEN 1.0 ELSE 0.0 END"]


def _own(each: Input, raw: str) -> list[str]:
    match each:
        case NumberInput():
            return [f"({_value(raw, number(each.missing))} - {number(each.offset)}) / {number(each.scale)}"]
        case BooleanInput():
            word = f"lower({_trimmed(raw)})"
            cases = [f"WHEN {_is_missing(raw)} THEN {number(each.missing)}"]
            for value, own in enumerate(each.words):
                spelled = {("false", "true")[value], str(value), f"{value}.0", own.lower()}
                cases.append(f"WHEN {word} IN ({', '.join(map(text, sorted(spelled)))}) THEN {value}.0")
            return [f"CASE {' '.join(cases)} END"]
        case DateInput():
            return _date(each, raw)
        case CategoryInput():
            return [_slot(each, slot, raw) for slot in range(each.own)]


def _trimmed(raw: str) -> str:
    """As text, without the space around it."""
    return f"trim(CAST({raw} AS TEXT), char(9, 10, 11, 12, 13, 32))"


def _is_missing(raw: str) -> str:
    return f"{raw} IS NULL OR lower({_trimmed(raw)}) IN ({MISSING})"


def _value(raw: str, missing: str) -> str:
    spells_a_number = f"{raw} GLOB '*[0-9]*' AND {_trimmed(raw)} NOT GLOB '*[^-+.0-9eE]*'"
    return (
        f"CASE WHEN typeof({raw}) IN ('integer', 'real') THEN CAST({raw} AS REAL) "
        f"WHEN {_is_missing(raw)} THEN {missing} WHEN {spells_a_number} THEN CAST({raw} AS REAL) END"
    )


def _date(each: DateInput, raw: str) -> list[str]:
    """Of ISO 8601, or of seconds since 1970."""
    is_date = (
        f"{raw} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' "
        # SQLite takes 30 February for 1 March, and 24:30 for half past midnight.
        f"AND strftime('%d', julianday(substr({raw}, 1, 10))) = substr({raw}, 9, 2) "
        f"AND substr({raw}, 12, 2) < '24'"
    )

    def part(name: str) -> str:
        return f"CAST(strftime('%{name}', {raw}) AS REAL)"

    seconds = (  # whole ones, and the thousandths, which a day number of float64 has not
        f"CASE WHEN typeof({raw}) IN ('integer', 'real') THEN CAST({raw} AS REAL) "
        f"WHEN {is_date} THEN {part('s')} + {part('f')} - {part('S')} END"
    )
    missing = f"CASE WHEN {_is_missing(raw)} THEN {{0}} ELSE {{1}} END"
    columns = [
        f"({missing.format(number(each.missing), seconds)} - {number(each.offset)}) / {number(each.scale)}"
    ]
    for length, shift in each.cycles:
        angle = f"({seconds} - {number(shift)}) * {number(math.tau / length)}"
        columns += [missing.format("0.0", f"{wave}({angle})") for wave in ("sin", "cos")]
    return columns


def _slot(each: CategoryInput, slot: int, raw: str) -> str:
    """Whether the value belongs in that slot. A category may be spelled 1 where the value is 1.0."""
    spelled = f"CAST({raw} AS TEXT)"
    integer = f"CAST({raw} AS INTEGER)"
    whole = f"CASE WHEN typeof({raw}) = 'real' AND {integer} = {raw} THEN CAST({integer} AS TEXT) END"
    forms = (spelled, _trimmed(raw), whole)

    def is_one_of(names: list[str]) -> str:
        listed = ", ".join(map(text, names))
        return " OR ".join(f"{form} COLLATE BINARY IN ({listed})" for form in forms)

    cases = []
    if here := [name for name, place in each.slots.items() if place == slot]:
        cases.append(f"WHEN {is_one_of(here)} THEN 1.0")
    elsewhere = [name for name, place in each.slots.items() if place != slot]
    if each.unknown == slot and elsewhere:
        cases.append(f"WHEN {is_one_of(elsewhere)} THEN 0.0")
    if slot in (each.missing, each.unknown):
        cases.append(f"WHEN {_is_missing(raw)} THEN {number(float(each.missing == slot))}")
    rest = number(float(each.unknown == slot))
    return f"CASE {' '.join(cases)} ELSE {rest} END" if cases else rest


_SIGMOID = "1 / (1 + exp(min(-{z}, 700.0)))"


def _gelu() -> str:
    """max(z, 0) − t Q(t), t = |z|, with Q as the engine has it."""
    t, over, under = "min(abs({z}), 39.0)", "0.0", "0.0"
    for a, b in tail_coefficients():
        over, under = f"({over} * {t} + {a!r})", f"({under} * {t} + {b!r})"
    return f"max({{z}}, 0.0) - {t} * ({over} / {under}) * exp(-{t} * {t} / 2)"


ACTIVATIONS = {
    "identity": "{z}",
    "sigmoid": _SIGMOID,
    "tanh": "tanh({z})",
    "relu": "max({z}, 0.0)",
    "leaky_relu": "max({z}, {z} / 100)",
    "elu": "CASE WHEN {z} > 0 THEN {z} ELSE exp(max({z}, -700.0)) - 1 END",
    "softplus": "max({z}, 0.0) + ln(1 + exp(max(-abs({z}), -700.0)))",
    "silu": f"{{z}} * ({_SIGMOID})",
    "gelu": _gelu(),
}
"""f of {z}, which is a name; e to the power of 700 is within float64."""
