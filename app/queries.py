"""Queries: what an operation does not have is refused, so that no slip reads more than was asked for."""

from difflib import get_close_matches
from typing import Annotated, Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from starlette.routing import BaseRoute

from app.errors import Fault, Invalid

NAME_LIMIT = 255
"""Characters of a client's own words that are looked at or told."""

FAULT_LIMIT = 20

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Most seconds to wait, up to the server's max_wait_seconds.",
        examples=[30],
    ),
]


def check(request: Request) -> None:
    """Raise Invalid for a parameter that this operation does not have, or that is there twice."""
    if not request.scope["query_string"]:
        return
    known = parameters(request.scope["route"])
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


def parameters(route: BaseRoute) -> dict[str, str]:
    """The styles of an operation's query parameters, by their names, as OpenAPI tells them.

    From its signature: the document itself takes half a second to make, and most processes are never asked
    for it.
    """
    declared: Any = route
    found = get_flat_params(declared.dependant) if hasattr(route, "dependant") else []
    known = {each.alias: "form" for each in found if isinstance(each.field_info, Query)}
    more = (getattr(route, "openapi_extra", None) or {}).get("parameters", ())
    return known | {each["name"]: each.get("style", "form") for each in more if each["in"] == "query"}


def _unknown(name: str, known: dict[str, str]) -> Fault:
    spelled = [f"{each}[…]" if style == "deepObject" else each for each, style in known.items()]
    near = get_close_matches(name[:NAME_LIMIT].lower(), known, n=1)
    hint = f"This path takes {', '.join(spelled)}." if known else "This path takes none."
    hint = f"Did you mean {near[0]}? {hint}" if near else hint
    return Fault(name[:NAME_LIMIT], "unknown_field", "There is no such parameter.", hint)
