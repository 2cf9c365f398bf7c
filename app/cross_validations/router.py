"""Cross-validations: k jobs as one request and one object."""

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from app.cross_validations import service
from app.cross_validations.schemas import CrossValidationAnswer, CrossValidationCreate
from app.dependencies import (
    OnceDep,
    PrincipalDep,
    StateDep,
    Wait,
    WindowDep,
    created,
    listed,
    need_room,
    rename,
    router,
)
from app.openapi import LABEL_FILTER, WAITERS, creates, later, located, refused
from app.schemas import Page, Renamed
from app.storage.paging import page
from app.storage.tables import CrossValidation
from app.storage.waiting import at_rest

routes = router("/v1/cross-validations", "jobs")

CrossValidationId = Annotated[
    str,
    Path(
        max_length=64,
        description="The cross-validation's id.",
        examples=["cv_0n5c1k4v8d2s6m9q3x7z1b5f"],
    ),
]
BUSY = later("As many jobs of this project wait as may, or it has asked for as much as it may in a day.")
QUOTA = refused("The key's role is too low; or the project has as much as it may, and quota names the limit.")


@routes.post(
    "",
    status_code=202,
    response_model=CrossValidationAnswer,
    summary="Cross-validate",
    responses={
        **creates(202, "The jobs wait for a worker."),
        403: QUOTA,
        404: refused("There is no such dataset, architecture or model in this project; errors name which."),
        429: BUSY,
    },
    dependencies=[Depends(need_room)],
)
async def create(
    body: CrossValidationCreate, request: Request, state: StateDep, principal: PrincipalDep, once: OnceDep
) -> Response:
    """Queue a job for each fold of the dataset: all of them, or none. Each counts against quotas."""
    sent = await request.json()
    parts = state.database, state.blobs, state.settings
    submit = partial(service.create, *parts, principal, body, sent, once)
    return created(await run_in_threadpool(once.run, body.as_sent, submit))


@routes.get(
    "",
    response_model=Page[CrossValidationAnswer],
    summary="List cross-validations",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Cross-validations of this project, newest first."""
    with state.database.reading() as session:
        rows, more = page(session, CrossValidation, principal.project_id, window)
        return listed(service.answers(session, rows), more)


@routes.get(
    "/{cross_validation_id}",
    response_model=CrossValidationAnswer,
    summary="Read a cross-validation",
    response_description="The cross-validation.",
    responses={429: WAITERS},
)
async def read(
    cross_validation_id: CrossValidationId, state: StateDep, principal: PrincipalDep, wait: Wait = 0.0
) -> dict[str, Any]:
    """Where its jobs stand, and each measure's mean and spread over the folds that are done.

    With ?wait= the answer comes when no job of it is to go on.
    """

    def look() -> dict[str, Any]:
        with state.database.reading() as session:
            return service.answers(session, [service.get(session, principal, cross_validation_id)])[0]

    return await at_rest(look, ("queued", "running"), *state.waits(principal, wait))


@routes.patch(
    "/{cross_validation_id}",
    response_model=CrossValidationAnswer,
    summary="Rename a cross-validation",
    response_description="The cross-validation as it is now.",
)
def change(
    cross_validation_id: CrossValidationId, body: Renamed, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Change its name or metadata; its jobs keep theirs."""
    with state.database.writing() as session:
        row = service.get(session, principal, cross_validation_id, lock=True)
        rename(row, body)
        session.flush()
        return service.answers(session, [row])[0]


@routes.delete(
    "/{cross_validation_id}",
    status_code=204,
    summary="Delete a cross-validation",
    response_description="It is deleted.",
)
def delete(cross_validation_id: CrossValidationId, state: StateDep, principal: PrincipalDep) -> None:
    """Its jobs and their models stay."""
    with state.database.writing() as session:
        session.delete(service.get(session, principal, cross_validation_id, lock=True))


@routes.post(
    "/{cross_validation_id}/cancel",
    status_code=202,
    response_model=CrossValidationAnswer,
    summary="Cancel a cross-validation",
    responses={
        200: {"model": CrossValidationAnswer, **located("Every job had ended, or was asked to stop before.")},
        202: located("Its jobs are asked to stop."),
    },
)
def cancel(
    cross_validation_id: CrossValidationId, response: Response, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Ask every job that has not ended to stop. Each leaves the model that it has reached."""
    with state.database.writing() as session:
        took = service.cancel(session, state.database, principal, cross_validation_id, state.quotas)
        row = service.get(session, principal, cross_validation_id)
        answer = service.answers(session, [row])[0]
    response.status_code = 202 if took else 200
    response.headers["Location"] = f"/v1/cross-validations/{cross_validation_id}"
    return answer
