"""Submitting jobs, asking them to stop or to go on, and reading their history."""

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.datasets import content
from app.dependencies import (
    JobId,
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
from app.jobs import actions, planning, service, submission
from app.jobs.answers import EpochAnswer, JobAnswer
from app.jobs.plans import PlanAnswer
from app.jobs.schemas import JobChange, JobCreate
from app.jobs.states import Action
from app.jobs.states import State as JobState
from app.openapi import LABEL_FILTER, QUOTA_REACHED, creates, later, located, refused
from app.schemas import Page
from app.splits.schemas import SplitAnswer
from app.storage.paging import page
from app.storage.tables import Job

routes = router("/v1/jobs", "jobs")

FULL = later("As many jobs of this project wait as may.")
BUSY = later("As many jobs of this project wait as may, or it has asked for as much as it may in a day.")
QUOTA = refused(QUOTA_REACHED)


@routes.post(
    "",
    status_code=202,
    response_model=JobAnswer,
    summary="Submit a job",
    responses={
        **creates(202, "The job waits for a worker."),
        403: QUOTA,
        404: refused("There is no such dataset, architecture or model in this project; errors name which."),
        429: BUSY,
    },
    dependencies=[Depends(need_room)],
)
async def create(
    body: JobCreate, request: Request, state: StateDep, principal: PrincipalDep, once: OnceDep
) -> Response:
    """Queue a training run. Every "auto" is resolved now; both forms are kept."""
    sent = await request.json()
    parts = state.database, state.blobs, state.settings
    submit = partial(submission.create, *parts, principal, body, sent, once)
    return created(await run_in_threadpool(once.run, body.as_sent, submit))


@routes.post(
    "/plan",
    response_model=PlanAnswer,
    summary="Plan a job",
    response_description="What it would do and take.",
    responses={
        404: refused("There is no such dataset, architecture or model in this project; errors name which.")
    },
)
def plan(body: JobCreate, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Resolve and reckon a job without creating it. Refuses what `POST /v1/jobs` would refuse."""
    return planning.plan(state.database, state.blobs, state.settings, principal, body)


@routes.get(
    "",
    response_model=Page[JobAnswer],
    summary="List jobs",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(
    state: StateDep,
    principal: PrincipalDep,
    window: WindowDep,
    status: Annotated[
        JobState | None, Query(description="Only jobs in this state.", examples=["running"])
    ] = None,
) -> dict[str, Any]:
    """Jobs of this project, newest first."""
    if status is not None:
        window = window.narrowed(status=status)
    with state.database.reading() as session:
        rows, more = page(session, Job, principal.project_id, window)
        most = state.settings.max_running_jobs
        return listed([service.answer(session, row, most) for row in rows], more)


@routes.patch(
    "/{job_id:job}",
    response_model=JobAnswer,
    summary="Change a job",
    response_description="The job as it is now.",
    responses={409: refused("The job has ended: it has no priority any more.")},
)
def change(job_id: JobId, body: JobChange, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Change its name or metadata, or the priority of one that has not ended."""
    with state.database.writing() as session:
        row = service.get(session, principal, job_id, lock=True)
        rename(row, body)
        if body.priority is not None:
            service.prioritize(row, body.priority)
        session.flush()
        return service.answer(session, row, state.settings.max_running_jobs)


@routes.delete(
    "/{job_id:job}",
    status_code=204,
    summary="Delete a job",
    response_description="It is deleted.",
    responses={409: refused("The job has not ended; allowed lists the actions that it takes.")},
)
def delete(job_id: JobId, state: StateDep, principal: PrincipalDep) -> None:
    """Delete a finished job and its history. Its model stays."""
    with state.database.writing() as session:
        service.delete(session, state.blobs, principal, job_id)


def _action(action: Action, summary: str, description: str, done: str, before: str) -> None:
    @routes.post(
        f"/{{job_id}}/{action}",
        status_code=202,
        response_model=JobAnswer,
        name=action,
        summary=summary,
        description=description,
        responses={
            200: {"model": JobAnswer, **located(before)},
            202: located(done),
            409: refused("Its state does not take this; allowed lists the actions that it takes."),
            **({410: refused("The dataset's rows have been deleted.")} if action == "retry" else {}),
            **({429: FULL} if action == "resume" else {}),
            **({403: QUOTA, 429: BUSY} if action == "retry" else {}),
        },
    )
    def act(job_id: JobId, response: Response, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
        with state.database.writing() as session:
            took = actions.ask(session, state.database, principal, job_id, action, state.quotas)
            row = service.get(session, principal, job_id)
            job = service.answer(session, row, state.settings.max_running_jobs)
        response.status_code = 202 if took else 200
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return job


_action(
    *("cancel", "Cancel a job"),
    "Ask the job to stop for good, in any state that is not final. It leaves the model that it has reached.",
    *("It is asked to stop, or has stopped.", "It was asked to stop before."),
)
_action(
    *("pause", "Pause a job"),
    "Ask the job to stop for now. It leaves the model that it has reached, and goes on from there.",
    *("It is asked to pause, or has paused.", "It was asked to pause before."),
)
_action(
    *("resume", "Resume a job"),
    "Let a paused job go on where it was, to the same bits as if it had never paused.",
    *("It waits for a worker, or will as soon as it has paused.", "It waits for a worker, or runs."),
)
_action(
    *("retry", "Try a failed job again"),
    "Let a failed job go on from its last snapshot, as the same job.",
    *("It waits for a worker.", "It was tried again before, and waits for a worker, or runs."),
)


@routes.get(
    "/{job_id}/epochs",
    response_model=Page[EpochAnswer],
    summary="Read the history",
    response_description="A page of epochs, oldest first; ids are epochs.",
)
def epochs(
    job_id: JobId,
    state: StateDep,
    principal: PrincipalDep,
    after_epoch: Annotated[
        int, Query(ge=0, lt=2**53, description="Epoch before the page.", examples=[1000])
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, le=10_000, description="Most epochs of the page.", examples=[100])
    ] = 1000,
    max_points: Annotated[
        int | None,
        Query(
            ge=2,
            le=10_000,
            description="Thin the list to so many, keeping its extremes; limit then does nothing.",
            examples=[300],
        ),
    ] = None,
) -> dict[str, Any]:
    """Every epoch's costs, metrics and timing."""
    with state.database.reading() as session:
        service.get(session, principal, job_id)
        rows, more = service.epochs(session, job_id, after_epoch, limit, max_points)
    first, last = (rows[0]["epoch"], rows[-1]["epoch"]) if rows else (None, None)
    return {"data": rows, "first_id": first, "last_id": last, "has_more": more}


@routes.get(
    "/{job_id}/split",
    response_model=SplitAnswer,
    summary="Read the split",
    response_description="Row numbers, by part.",
    responses={410: refused("The dataset's rows have been deleted.")},
)
def split(job_id: JobId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """The row numbers that were trained on, that steered early stopping, and that were held out."""
    with state.database.reading() as session:
        job = service.get(session, principal, job_id)
    table = content.table_of(state.database, state.blobs, state.cache, job.dataset_id, job.dataset_sha256)
    parts = content.split_of(table, job.target, job.task, job.training)
    return {name: rows.tolist() for name, rows in parts._asdict().items()}
