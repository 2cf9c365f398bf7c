"""Reading a job, and following its events as a list or as a stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from app.dependencies import JobId, PrincipalDep, State, StateDep, router
from app.errors import NotFound
from app.jobs import events, service
from app.jobs.answers import EVENT_STREAM, EventAnswer, JobAnswer
from app.jobs.states import AT_REST, TERMINAL
from app.keys.service import Principal
from app.schemas import Page

routes = router("/v1/jobs", "jobs")

Wait = Annotated[
    float,
    Query(ge=0, le=3600, allow_inf_nan=False, description="Most seconds to wait.", examples=[30]),
]

LOOK_SECONDS = 1.0
"""How often to look without a hint that something has changed."""

EVENTS_AT_ONCE = 100
PING_SECONDS = 15.0


def _job(state: State, principal: Principal, job_id: str) -> dict[str, Any]:
    with state.database.reading() as session:
        return service.answer(session, service.get(session, principal, job_id))


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
    """The job. With ?wait= the answer comes when the status changes, at once if it is terminal or paused."""
    deadline = asyncio.get_running_loop().time() + min(wait, state.settings.max_wait_seconds)
    version = state.watch.version
    job = await run_in_threadpool(_job, state, principal, job_id)
    first = job["status"]
    while job["status"] not in AT_REST and (wait_for == "terminal" or job["status"] == first):
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or state.watch.stopped:
            break
        await state.watch.after(version, min(left, LOOK_SECONDS))
        version = state.watch.version
        job = await run_in_threadpool(_job, state, principal, job_id)
    return job


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
