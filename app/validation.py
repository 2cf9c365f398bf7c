"""From pydantic's errors to our own: where it is wrong, how, and what it is called here."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Literal

from app.errors import Fault, Invalid
from app.vocabulary.examples import EXAMPLES
from app.vocabulary.fields import FIELDS, PREDICTION, TRACE
from app.vocabulary.places import ABSENT, PLACES
from app.vocabulary.values import NEAREST, SAME

About = Literal["job", "architecture", "prediction", "trace"]

FAULT_LIMIT = 20
NAME_LIMIT = 255
"""Characters of a client's own words that are looked at or told."""

MOST_ALIKE = 3
"""Words that are no longer are like too many others."""


def invalid(
    found: Sequence[Any], sent: object, place: tuple[str, ...] = (), about: About | None = None
) -> Invalid:
    """From pydantic's errors to ours, the first 20 of them, and how many there are besides.

    ``sent`` is the body, to tell its names from a union's tags; ``place`` goes before each error's own;
    ``about`` says whose words may stand in it.
    """
    faults = [_fault(each, (*place, *each["loc"]), sent, about) for each in found[:FAULT_LIMIT]]
    first = faults[0]
    where = f"{first.param}: " if first.param else ""
    more = f" ({len(faults) - 1} more in 'errors'.)" if len(faults) > 1 else ""
    if len(found) > FAULT_LIMIT:
        more = f" ({FAULT_LIMIT - 1} more in 'errors', and {len(found) - FAULT_LIMIT} beyond them.)"
    return Invalid(f"{where}{first.message}{more}", *faults)


_CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "finite_number": "not_finite",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "union_tag_invalid": "not_allowed",
    "union_tag_not_found": "missing_field",
}
_OBJECT = "Input should be an object, as {…}."
_MESSAGES = {
    "missing": "This field is needed.",
    "extra_forbidden": "There is no such field.",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": "Input should be a list, as […].",
}


def _fault(error: dict[str, Any], loc: tuple[int | str, ...], sent: object, about: About | None) -> Fault:
    kind: str = error["type"]
    param, name = _param(loc, sent, kind)
    if kind == "union_tag_invalid":
        param += "." + error["ctx"]["discriminator"].strip("'")
    if kind.endswith("_type") or kind.startswith(("int_", "float_", "bool_")):
        code = "wrong_type"
    elif "than" in kind or kind.startswith("too_") or kind.endswith(("_short", "_long")):
        code = "out_of_range"
    else:
        code = _CODES.get(kind, "invalid")
    message = _message(kind, error)
    if kind == "missing" and not param:
        message = "A body is needed."
    if kind == "extra_forbidden":
        hint = _other_name(name, param, about)
    else:
        hint = _other_value(kind, error)
        if hint is None and code in ("wrong_type", "not_allowed") and about in ("job", "architecture"):
            hint = EXAMPLES.get(re.sub(r"\[\d+\]", "[]", param).rpartition(".")[2])
    return Fault(param, code, message, hint)


def _message(kind: str, error: dict[str, Any]) -> str:
    if kind == "union_tag_invalid":  # pydantic's own repeats what was sent
        return f"Input should be one of {error['ctx']['expected_tags']}."
    told = str(error["msg"]).removeprefix("Value error, ").replace(" after validation", "")
    return _MESSAGES.get(kind) or told.removesuffix(", not more").rstrip(".") + "."


def _other_name(name: str, param: str, about: About | None) -> str | None:
    """What a field that there is not is called here, or where it belongs, or what it may be a slip for."""
    word = name.lower()
    if about is None:
        return None
    if about in ("prediction", "trace"):
        known = PREDICTION if about == "prediction" else TRACE
        return f"Here this is called {known[word][0]}." if word in known else None
    if word in ABSENT:
        return ABSENT[word][0]
    if word in PLACES:
        called, begin = PLACES[word], "Its place is"
    elif word in FIELDS:
        called, begin = FIELDS[word][0], "Here this is called"
    else:
        near = difflib.get_close_matches(word, _ALL, 1, 0.8) if len(word) > MOST_ALIKE else []
        return f"Did you mean {_in_full(_ALL[near[0]], about)}?" if near else None
    here = re.sub(r"\[\d+\]", "[]", f"architecture.{param}" if about == "architecture" else param)
    if called == here:
        return "What is named beside it has none."
    return f"{begin} {_in_full(called, about)}."


_ALL = {**{word: called[0] for word, called in FIELDS.items()}, **PLACES}


def _in_full(called: str, about: About) -> str:
    """The place of a job's field, as one who sends a job or an architecture has it."""
    if about == "architecture" and called not in ("name", "metadata"):
        inner = called.startswith("architecture.")
        called = called.replace("architecture.", "") if inner else f"{called}, in a job"
    return called if "." in called or "," in called else f"{called}, in the outermost object"


def _other_value(kind: str, error: dict[str, Any]) -> str | None:
    """What is called so elsewhere, or the nearest of the words that may stand here."""
    value = error.get("input")
    context = error.get("ctx", {})
    if kind == "union_tag_invalid" and isinstance(value, dict):
        value = value.get(str(context.get("discriminator", "")).strip("'"))
    expected = re.findall(r"'([^']+)'", str(context.get("expected", context.get("expected_tags", ""))))
    if value == "softmax" and expected:
        return "softmax stands only in the output layer, with the cost cross_entropy."
    if isinstance(value, str) and expected:
        return _word(value[:NAME_LIMIT].lower(), expected)
    return None


def _word(word: str, expected: Sequence[str]) -> str | None:
    for known, hint in ((SAME, "Did you mean '{}'?"), (NEAREST, "That is not here; '{}' comes near it.")):
        meant = [each for each in known.get(word, ()) if each in expected]
        if meant:
            return hint.format(meant[0])
    near = difflib.get_close_matches(word, expected, 1)
    return f"Did you mean '{near[0]}'?" if near else None


def _param(loc: tuple[int | str, ...], sent: object, kind: str) -> tuple[str, str]:
    """``('body', 'layers', 1, 'units')`` as ``layers[1].units``, and its last name."""
    place, rest = loc[0], list(loc[1:])
    here, path, name = sent if place == "body" else None, "", ""
    for index, step in enumerate(rest):
        last = index == len(rest) - 1
        if isinstance(step, int):
            path += f"[{step}]" if place == "body" and kind != "json_invalid" else ""
            here = here[step] if isinstance(here, list) and step < len(here) else None
            continue
        known = isinstance(here, dict) and step in here
        if place == "body" and not known and not (last and kind == "missing"):
            continue  # a union's tag, not a name that the client sent
        name = step[:NAME_LIMIT]
        path += f".{name}" if path else name
        here = here[step] if isinstance(here, dict) and step in here else None
    return path, name
