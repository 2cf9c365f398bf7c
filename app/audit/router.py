"""Reading the audit log, for administrators."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query

from app.audit import service
from app.audit.schemas import AuditAnswer
from app.dependencies import PartDep, StateDep, listed, router
from app.schemas import Page, normal

routes = router("/v1/audit", "keys", role="admin")


@routes.get(
    "",
    response_model=Page[AuditAnswer],
    summary="Read the audit log",
    response_description="A page of entries.",
)
def listing(
    state: StateDep,
    part: PartDep,
    project: Annotated[
        str | None,
        Query(max_length=255, description="Only what concerns this project.", examples=["biology"]),
    ] = None,
    key_id: Annotated[
        str | None,
        Query(
            max_length=64,
            description="Only what this key did.",
            examples=["key_1c8k3v6n0q5x2z7m4d9s1b6f"],
        ),
    ] = None,
    object_id: Annotated[
        str | None,
        Query(
            max_length=255,
            description="Only what was done to this object.",
            examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"],
        ),
    ] = None,
    action: Annotated[
        str | None, Query(max_length=64, description="Only this action.", examples=["dataset.delete"])
    ] = None,
    request_id: Annotated[
        str | None,
        Query(
            max_length=64,
            description="Only what this request did, by the X-Request-Id of its answer.",
            examples=["5f2c9a7e41d0b8836ce1f094"],
        ),
    ] = None,
) -> dict[str, Any]:
    """Who made, changed, deleted or steered what, in every project, newest first."""
    filters = {
        "project": None if project is None else normal(project),
        "key_id": key_id,
        "object_id": object_id,
        "action": action,
        "request_id": request_id,
    }
    equal = {name: value for name, value in filters.items() if value is not None}
    with state.database.reading() as session:
        return listed(*service.page(session, replace(part, equal=equal)))
