"""Submitting jobs, following them, and asking them to stop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from app.datasets import content
from app.dependencies import PrincipalDep, State, StateDep, WindowDep, listed, rename, router
from app.errors import NotFound
from app.jobs import events, service, submission
from app.jobs.answers import EVENT_STREAM, EpochAnswer, EventAnswer, JobAnswer, SplitAnswer
from app.jobs.schemas import JobCreate
from app.jobs.states import TERMINAL
from app.jobs.states import State as JobState
from app.keys.service import Principal
from app.openapi import LABEL_FILTER, located, refused
from app.schemas import Page, Renamed, words
from app.storage.paging import Window, page
from app.storage.tables import Job

routes = router("/v1/jobs", "jobs")

JobId = Annotated[
    str, Path(max_length=64, description="The job's id.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"])
]
Wait = Annotated[
    float,
    Query(ge=0, le=3600, allow_inf_nan=False, description="Most seconds to wait.", examples=[30]),
]

LOOK_SECONDS = 1.0
"""How often to look without a hint that something has changed."""

EVENTS_AT_ONCE = 100
PING_SECONDS = 15.0


@routes.post(
    "",
    status_code=202,
    response_model=JobAnswer,
    summary="Submit a job",
    responses={
        202: located("The job waits for a worker."),
        404: refused("There is no such dataset, architecture or model in this project; errors name which."),
    },
)
async def create(
    body: JobCreate, request: Request, response: Response, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Queue a training run. Every "auto" is resolved now; both forms are kept."""
    sent = await request.json()
    job = await run_in_threadpool(
        submission.create, state.database, state.blobs, state.settings, principal, body, sent
    )
    response.headers["Location"] = f"/v1/jobs/{job['id']}"
    return job


def _job(state: State, principal: Principal, job_id: str) -> dict[str, Any]:
    with state.database.reading() as session:
        return service.answer(session, service.get(session, principal, job_id))


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
        str | None,
        Query(
            max_length=32,
            description="Only jobs in this state.",
            examples=["running"],
            json_schema_extra=words(JobState),
        ),
    ] = None,
) -> dict[str, Any]:
    """Jobs of this project, newest first."""
    if status is not None:
        equal = {**window.equal, "status": status}
        window = Window(window.limit, window.after, window.order, equal, window.labels)
    with state.database.reading() as session:
        rows, more = page(session, Job, principal.project_id, window)
        return listed([service.answer(session, row) for row in rows], more)


@routes.get("/{job_id}", response_model=JobAnswer, summary="Read a job", response_description="The job.")
async def read(
    job_id: JobId,
    state: StateDep,
    principal: PrincipalDep,
    wait: Wait = 0.0,
    wait_for: Annotated[
        Literal["change", "terminal"],
        Query(description="What ?wait= waits for: another status, or the job's end.", examples=["terminal"]),
    ] = "change",
) -> dict[str, Any]:
    """The job. With ?wait= the answer comes when the status changes, at once if it is terminal."""
    deadline = asyncio.get_running_loop().time() + min(wait, state.settings.max_wait_seconds)
    version = state.watch.version
    job = await run_in_threadpool(_job, state, principal, job_id)
    first = job["status"]
    while job["status"] not in TERMINAL and (wait_for == "terminal" or job["status"] == first):
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or state.watch.stopped:
            break
        await state.watch.after(version, min(left, LOOK_SECONDS))
        version = state.watch.version
        job = await run_in_threadpool(_job, state, principal, job_id)
    return job


@routes.patch(
    "/{job_id}",
    response_model=JobAnswer,
    summary="Rename a job",
    response_description="The job as it is now.",
)
def change(job_id: JobId, body: Renamed, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Change its name or metadata."""
    with state.database.writing() as session:
        row = service.get(session, principal, job_id)
        rename(row, body)
        return service.answer(session, row)


@routes.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job",
    response_description="It is deleted.",
    responses={409: refused("The job has not ended; allowed lists the actions that it takes.")},
)
def delete(job_id: JobId, state: StateDep, principal: PrincipalDep) -> None:
    """Delete a finished job and its history. Its model stays."""
    with state.database.writing() as session:
        service.delete(session, state.blobs, principal, job_id)


@routes.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=JobAnswer,
    summary="Cancel a job",
    responses={
        200: {"model": JobAnswer, **located("It was asked to stop before.")},
        202: located("It is asked to stop."),
        409: refused("The job has ended; allowed lists the actions that it takes."),
    },
)
def cancel(job_id: JobId, response: Response, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Ask the job to stop; it leaves the model that it has reached. 200 when it was asked already."""
    with state.database.writing() as session:
        asked = service.cancel(session, state.database, principal, job_id)
        job = service.answer(session, service.get(session, principal, job_id))
    response.status_code = 202 if asked else 200
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return job


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


def _events(
    state: State, principal: Principal, job_id: str, after: int, limit: int
) -> tuple[list[Any], bool]:
    """Events behind ``after``, and whether the job can have no more."""
    with state.database.reading() as session:
        job = service.get(session, principal, job_id)
        found = events.after(session, job_id, after, limit)
        last = found[-1]["seq"] if found else after
        return found, job.status in TERMINAL and last >= job.event_count


async def _next_events(
    state: State, principal: Principal, job_id: str, after: int, limit: int, seconds: float
) -> tuple[list[Any], bool]:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        version = state.watch.version
        found, over = await run_in_threadpool(_events, state, principal, job_id, after, limit)
        left = deadline - asyncio.get_running_loop().time()
        if found or over or left <= 0 or state.watch.stopped:
            return found, over
        await state.watch.after(version, min(left, LOOK_SECONDS))


@routes.get(
    "/{job_id}/events",
    summary="Follow the job",
    response_model=Page[EventAnswer],
    response_description="A page of events, oldest first, ids are sequence numbers; or a stream of them.",
    responses={200: {"content": EVENT_STREAM}},
)
async def follow(
    job_id: JobId,
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
    after: Annotated[
        int, Query(ge=0, lt=2**53, description="Sequence number before the page.", examples=[3])
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events of the page.", examples=[100])] = 100,
    wait: Wait = 0.0,
    last_event_id: Annotated[
        str | None, Header(description="Where a stream goes on: a sequence number.", examples=["3"])
    ] = None,
) -> Any:
    """The job's events as a list; with ?wait= the answer comes when there is one.

    With ``Accept: text/event-stream`` they come as a stream: ``id`` is the sequence number, ``event`` the
    type, ``data`` the same object. Resume with ``Last-Event-ID``; the stream ends after ``event: end``.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
            after = min(int(last_event_id[:16]), 2**53)
        await run_in_threadpool(_job, state, principal, job_id)
        headers = {"X-Accel-Buffering": "no"}
        return EventSourceResponse(_stream(state, principal, job_id, after), headers=headers)
    seconds = min(wait, state.settings.max_wait_seconds)
    found, over = await _next_events(state, principal, job_id, after, limit, seconds)
    first, last = (found[0]["seq"], found[-1]["seq"]) if found else (None, None)
    return {"data": found, "first_id": first, "last_id": last, "has_more": len(found) == limit and not over}


async def _stream(state: State, principal: Principal, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Server-sent events until the job can have no more, or the server stops. Holds no session."""
    over = False
    while not over and not state.watch.stopped:
        try:
            found, over = await _next_events(state, principal, job_id, after, EVENTS_AT_ONCE, PING_SECONDS)
        except NotFound:  # deleted while it was followed
            break
        if not found and not over:
            yield format_sse_event(comment="ping")
        for event in found:
            after = event["seq"]
            data = EventAnswer.model_validate(event).model_dump_json()
            yield format_sse_event(data_str=data, event=event["type"], id=str(after))
    if not state.watch.stopped:
        yield format_sse_event(data_str="{}", event="end")
