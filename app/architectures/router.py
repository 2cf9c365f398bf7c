"""Stored architectures."""

from typing import Annotated, Any

from fastapi import Depends, Path, Response

from app.architectures import service
from app.architectures.schemas import ArchitectureAnswer, ArchitectureCreate
from app.dependencies import (
    OnceDep,
    PrincipalDep,
    StateDep,
    WindowDep,
    created,
    listed,
    need_room,
    rename,
    router,
)
from app.keys.idempotency import Answered
from app.openapi import LABEL_FILTER, QUOTA_REACHED, creates, refused
from app.schemas import Page, Renamed
from app.storage.paging import page
from app.storage.tables import Architecture

routes = router("/v1/architectures", "architectures")

ArchitectureId = Annotated[
    str,
    Path(
        max_length=64,
        description="The architecture's id.",
        examples=["arch_0n5c1k4v8d2s6m9q3x7z1b5f"],
    ),
]


def answer(row: Architecture) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "name": row.name,
        "metadata": row.labels,
        "layers": row.layers,
        "output": row.output,
    }


@routes.post(
    "",
    status_code=201,
    response_model=ArchitectureAnswer,
    summary="Store an architecture",
    responses={**creates(201, "It is stored."), 403: refused(QUOTA_REACHED)},
    dependencies=[Depends(need_room)],
)
def create(body: ArchitectureCreate, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """Keep hidden layers and output activation for use in jobs."""

    def store() -> Answered:
        with once.writing() as session:
            row = service.create(session, state.settings, principal, body, state.quotas)
            return once.answer(session, f"/v1/architectures/{row.id}", answer(row))

    return created(once.run(body.as_sent, store))


@routes.get(
    "",
    response_model=Page[ArchitectureAnswer],
    summary="List architectures",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Architectures of this project, newest first."""
    with state.database.reading() as session:
        rows, more = page(session, Architecture, principal.project_id, window)
        return listed([answer(row) for row in rows], more)


@routes.get(
    "/{architecture_id}",
    response_model=ArchitectureAnswer,
    summary="Read an architecture",
    response_description="The architecture.",
)
def read(architecture_id: ArchitectureId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """The hidden layers and what the output layer does."""
    with state.database.reading() as session:
        return answer(service.get(session, principal, architecture_id))


@routes.patch(
    "/{architecture_id}",
    response_model=ArchitectureAnswer,
    summary="Rename an architecture",
    response_description="The architecture as it is now.",
)
def change(
    architecture_id: ArchitectureId, body: Renamed, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Change its name or metadata."""
    with state.database.writing() as session:
        row = service.get(session, principal, architecture_id, lock=True)
        rename(row, body)
        return answer(row)


@routes.delete(
    "/{architecture_id}",
    status_code=204,
    summary="Delete an architecture",
    response_description="It is deleted.",
)
def delete(architecture_id: ArchitectureId, state: StateDep, principal: PrincipalDep) -> None:
    """Jobs keep a copy of what they use."""
    with state.database.writing() as session:
        service.delete(session, principal, architecture_id)
