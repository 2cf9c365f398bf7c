"""Lists: which part of one is wanted, and how a page of it looks."""

from dataclasses import replace
from operator import itemgetter
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request

from app.errors import Fault, Invalid
from app.schemas import normal
from app.storage.paging import Window

MOST_LABELS = 16
"""Notes that a list is filtered by: no object has more."""


async def part(
    limit: Annotated[int, Query(ge=1, le=100, description="Most items of the page.", examples=[50])] = 20,
    after: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern="^[a-z0-9_]+$",
            description="Id of the item before the page.",
            examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"],
        ),
    ] = None,
    order: Annotated[
        Literal["asc", "desc"], Query(description="By time of creation.", examples=["asc"])
    ] = "desc",
) -> Window:
    return Window(limit, after, order)


PartDep = Annotated[Window, Depends(part)]
"""Which part of a list is wanted, without filters."""


def window(
    request: Request,
    part: PartDep,
    name: Annotated[
        str | None,
        Query(max_length=255, description="Only items of this name.", examples=["penguins"]),
    ] = None,
) -> Window:
    labels = {
        key[len("metadata[") : -1]: value
        for key, value in request.query_params.items()
        if key.startswith("metadata[") and key.endswith("]")
    }
    if len(labels) > MOST_LABELS:
        message = f"At most {MOST_LABELS} notes at once."
        raise Invalid(f"metadata: {message}", Fault("metadata", "out_of_range", message))
    return replace(part, equal={} if name is None else {"name": normal(name)}, labels=labels)


WindowDep = Annotated[Window, Depends(window)]


def part_of(data: list[dict[str, Any]], part: Window) -> dict[str, Any]:
    """A page of a list that is at hand as a whole."""
    upward = part.order == "asc"
    rows = sorted(data, key=itemgetter("id"), reverse=not upward)
    if part.after is not None:
        rows = [each for each in rows if (each["id"] > part.after if upward else each["id"] < part.after)]
    return listed(rows[: part.limit], len(rows) > part.limit)


def listed(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A page as clients see it."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "first_id": first, "last_id": last, "has_more": more}
