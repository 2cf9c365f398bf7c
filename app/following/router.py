"""Reading a job, and following its events as a list or as a stream."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request, Response

from app.dependencies import JobId, PrincipalDep, StateDep, StrictRoute, Wait, principal_of, router, state_of
from app.following.records import Record
from app.following.stream import EventStream
from app.jobs.answers import EVENT_STREAM, EventAnswer, JobAnswer
from app.openapi import WAITERS
from app.schemas import Page

JOB_ID_LENGTH = 64

ETAG: dict[str, Any] = {
    "ETag": {
        "description": "Names this state of the job, for If-None-Match.",
        "schema": {"type": "string", "examples": ['"5f2c9a7e41d0b8836ce1f0945f2c9a7e"']},
    }
}


class PolledRoute(StrictRoute):
    """A job's own route: a bare GET, which is what pollers send, goes past FastAPI's machinery."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        whole = super().get_route_handler()

        async def handler(request: Request) -> Response:
            job_id = request.path_params["job_id"]
            if request.scope["query_string"] or len(job_id) > JOB_ID_LENGTH:
                return await whole(request)
            principal = principal_of(request)
            principal.need("read")
            record = await state_of(request).following.records.get(principal, job_id)
            return _answer(record, request.headers.get("if-none-match"))

        return handler


routes = router("/v1/jobs", "jobs")
polled_routes = router("/v1/jobs", "jobs")
polled_routes.route_class = PolledRoute


def _answer(record: Record, known: str | None) -> Response:
    """The job, or 304 where the client's own copy, by its ETag, is as good."""
    headers = {"etag": record.etag, "cache-control": "private, no-cache"}
    if known is not None and _names(known, record.etag):
        return Response(status_code=304, headers=headers)
    return Response(record.body, media_type="application/json", headers=headers)


def _names(known: str, etag: str) -> bool:
    return known.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in known.split(","))


@polled_routes.get(
    "/{job_id:job}",
    response_model=JobAnswer,
    summary="Read a job",
    response_description="The job.",
    responses={
        200: {"headers": ETAG},
        304: {"description": "The job is as If-None-Match says.", "headers": ETAG},
        429: WAITERS,
    },
)
async def read(
    job_id: JobId,
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
    wait: Wait = 0.0,
    wait_for: Annotated[
        Literal["change", "terminal"],
        Query(description="What ?wait= waits for: another status, or the job's end.", examples=["terminal"]),
    ] = "change",
    if_none_match: Annotated[
        str | None,
        Header(
            description="ETags of answers that the client has.",
            examples=['"5f2c9a7e41d0b8836ce1f0945f2c9a7e"'],
        ),
    ] = None,
) -> Response:
    """The job. With ?wait= the answer comes when the status changes, at once if it is terminal or paused."""
    seconds = min(wait, state.settings.max_wait_seconds)
    terminal = wait_for == "terminal"
    record = await state.following.changed(principal, job_id, terminal, seconds, request.receive)
    return _answer(record, if_none_match)


@routes.get(
    "/{job_id}/events",
    summary="Follow the job",
    response_model=Page[EventAnswer],
    response_description="A page of events, oldest first, ids are sequence numbers; or a stream of them.",
    responses={200: {"content": EVENT_STREAM}, 429: WAITERS},
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
) -> Response:
    """The job's events as a list; with ?wait= the answer comes when there is one.

    With ``Accept: text/event-stream`` they come as a stream: ``id`` is the sequence number, ``event`` the
    type, ``data`` the same object. Resume with ``Last-Event-ID``; the stream ends after ``event: end``.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
            after = min(int(last_event_id[:16]), 2**53)
        await state.following.records.get(principal, job_id)
        return EventStream(state.following, principal, job_id, after)
    seconds = min(wait, state.settings.max_wait_seconds)
    following = state.following
    frames, over = await following.events(principal, job_id, after, limit, seconds, request.receive)
    first, last = (frames[0].seq, frames[-1].seq) if frames else ("null", "null")
    more = "true" if len(frames) == limit and not over else "false"
    data = b",".join(each.json for each in frames)
    ends = f'"first_id":{first},"last_id":{last},"has_more":{more}'.encode()
    return Response(b'{"object":"list","data":[%b],%b}' % (data, ends), media_type="application/json")
