"""From pydantic's errors to our own: where it is wrong, how, and what it is called here."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from app.errors import Fault, Invalid
from app.vocabulary import FIELDS, VALUES

FAULT_LIMIT = 20
NAME_LIMIT = 255
"""Characters of a client's own words that are looked at or told."""


def invalid(found: Sequence[Any], sent: object, place: tuple[str, ...] = ()) -> Invalid:
    """From pydantic's errors to ours, the first 20 of them, and how many there are besides.

    ``sent`` is the body, to tell its names from a union's tags; ``place`` goes before each error's own.
    """
    faults = [_fault(each, (*place, *each["loc"]), sent) for each in found[:FAULT_LIMIT]]
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
_MESSAGES = {
    "missing": "This field is needed.",
    "extra_forbidden": "There is no such field.",
}


def _fault(error: dict[str, Any], loc: tuple[int | str, ...], sent: object) -> Fault:
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
    return Fault(param, code, message, _hint(kind, param, name, error))


def _message(kind: str, error: dict[str, Any]) -> str:
    if kind == "union_tag_invalid":  # pydantic's own repeats what was sent
        return f"Input should be one of {error['ctx']['expected_tags']}."
    return _MESSAGES.get(kind) or str(error["msg"]).removeprefix("Value error, ").rstrip(".") + "."


def _hint(kind: str, param: str, name: str, error: dict[str, Any]) -> str | None:
    if kind == "extra_forbidden" and name.lower() in FIELDS:
        called = FIELDS[name.lower()]
        return f"Here this is called {called}." if called != param else "What is named beside it has none."
    value = error.get("input")
    context = error.get("ctx", {})
    if kind == "union_tag_invalid" and isinstance(value, dict):
        value = value.get(str(context.get("discriminator", "")).strip("'"))
    expected = re.findall(r"'([^']+)'", str(context.get("expected", context.get("expected_tags", ""))))
    if value == "softmax" and expected:
        return "softmax stands only in the output layer, with the cost cross_entropy."
    if isinstance(value, str) and expected:
        word = value[:NAME_LIMIT].lower()
        meant = VALUES.get(word)
        near = [meant] if meant in expected else difflib.get_close_matches(word, expected, 1)
        return f"Did you mean '{near[0]}'?" if near else None
    return None


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
