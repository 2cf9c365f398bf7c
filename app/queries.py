"""Queries: what an operation does not have is refused, so that no slip reads more than was asked for."""

from difflib import get_close_matches
from typing import Any

from fastapi import Request

from app.errors import Fault, Invalid

NAME_LIMIT = 255
"""Characters of a client's own words that are looked at or told."""

FAULT_LIMIT = 20


def check(request: Request) -> None:
    """Raise Invalid for a parameter that OpenAPI does not name for this operation, or that is there twice."""
    if not request.scope["query_string"]:
        return
    known = _parameters(request)
    names = [name for name, style in known.items() if style != "deepObject"]
    faults, seen = [], set[str]()
    for name, _ in request.query_params.multi_items():
        outer = name.partition("[")[0]
        deep = known.get(outer) == "deepObject" and name.endswith("]") and name != outer
        if name not in names and not deep:
            faults.append(_unknown(name, known))
        elif name in seen:
            faults.append(Fault(name[:NAME_LIMIT], "invalid", "It is there twice.", "Send it once."))
        seen.add(name)
    if faults:
        first = faults[0]
        raise Invalid(f"{first.param}: {first.message}", *faults[:FAULT_LIMIT])


def _parameters(request: Request) -> dict[str, str]:
    """The styles of this operation's query parameters, by their names."""
    path: dict[str, Any] = request.app.openapi()["paths"][request.scope["route"].path_format]
    listed = path[request.method.lower()].get("parameters", ())
    return {each["name"]: each.get("style", "form") for each in listed if each["in"] == "query"}


def _unknown(name: str, known: dict[str, str]) -> Fault:
    spelled = [f"{each}[…]" if style == "deepObject" else each for each, style in known.items()]
    near = get_close_matches(name[:NAME_LIMIT].lower(), known, n=1)
    hint = f"This path takes {', '.join(spelled)}." if known else "This path takes none."
    hint = f"Did you mean {near[0]}? {hint}" if near else hint
    return Fault(name[:NAME_LIMIT], "unknown_field", "There is no such parameter.", hint)
