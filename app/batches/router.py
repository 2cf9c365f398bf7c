"""Batches: predictions of a whole dataset."""

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response

from app.batches import service
from app.batches.line import WAITING
from app.batches.schemas import BatchAnswer, BatchCreate, Status
from app.dependencies import (
    OnceDep,
    PrincipalDep,
    StateDep,
    Wait,
    WindowDep,
    created,
    listed,
    need_room,
    router,
)
from app.keys.idempotency import Answered
from app.openapi import LABEL_FILTER, WAITERS, creates, later, refused
from app.projects import service as projects
from app.schemas import Page
from app.storage.paging import page
from app.storage.tables import Batch
from app.storage.waiting import at_rest

routes = router("/v1/batches", "predictions")

BatchId = Annotated[
    str, Path(max_length=64, description="The batch's id.", examples=["bat_0n5c1k4v8d2s6m9q3x7z1b5f"])
]


@routes.post(
    "",
    status_code=202,
    response_model=BatchAnswer,
    summary="Predict a whole dataset",
    responses={
        **creates(202, "It waits for its turn.", "Or the dataset is not ready."),
        403: refused(
            "The key's role is too low; or the project has as much as it may, and quota names the limit."
        ),
        429: later(
            "As many batches of this project wait, or as many multiply-adds were asked for today, as may."
        ),
    },
    dependencies=[Depends(need_room)],
)
def create(body: BatchCreate, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """The dataset's rows and their predictions become a dataset of this project, in the background."""

    default = projects.by_default(state.settings)

    def make() -> Answered:
        state.uploads.foresee(principal)
        with once.writing() as session:
            batch = service.create(session, principal, body, default)
            return once.answer(session, f"/v1/batches/{batch.id}", service.answer(batch))

    return created(once.run(body.as_sent, make))


@routes.get(
    "",
    response_model=Page[BatchAnswer],
    summary="List batches",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(
    state: StateDep,
    principal: PrincipalDep,
    window: WindowDep,
    status: Annotated[
        Status | None, Query(description="Only batches in this state.", examples=["running"])
    ] = None,
) -> dict[str, Any]:
    """Batches of this project, newest first."""
    if status is not None:
        window = window.narrowed(status=status)
    with state.database.reading() as session:
        rows, more = page(session, Batch, principal.project_id, window)
        return listed([service.answer(row) for row in rows], more)


@routes.get(
    "/{batch_id}",
    response_model=BatchAnswer,
    summary="Read a batch",
    response_description="The batch.",
    responses={429: WAITERS},
)
async def read(
    batch_id: BatchId, state: StateDep, principal: PrincipalDep, wait: Wait = 0.0
) -> dict[str, Any]:
    """How far it is, and once it has succeeded, the id of the dataset with the predictions.

    With ?wait= the answer comes when it has ended.
    """

    def look() -> dict[str, Any]:
        with state.database.reading() as session:
            return service.answer(service.get(session, principal, batch_id))

    return await at_rest(look, WAITING, *state.waits(principal, wait))


@routes.post(
    "/{batch_id}/cancel",
    response_model=BatchAnswer,
    summary="Cancel a batch",
    response_description="It is cancelled.",
    responses={409: refused("It has ended already.")},
)
def cancel(batch_id: BatchId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """It ends at once, and nothing comes of it."""
    with state.database.writing() as session:
        return service.answer(service.cancel(session, principal, batch_id))


@routes.delete(
    "/{batch_id}",
    status_code=204,
    summary="Delete a batch",
    response_description="It is deleted.",
    responses={409: refused("It has not ended yet: cancel it first.")},
)
def delete(batch_id: BatchId, state: StateDep, principal: PrincipalDep) -> None:
    """The dataset that came of it stays."""
    with state.database.writing() as session:
        service.delete(session, principal, batch_id)
