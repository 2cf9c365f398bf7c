"""The outermost layer counts every request, however it ends, and lets every message through."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.meter import Meter
from app.metrics.traffic import Answers, Asked, Traffic
from app.request_log import RequestLines

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
PARTS: list[Message] = [
    {"type": "http.response.body", "body": b"four", "more_body": True},
    {"type": "http.response.body"},
    {"type": "http.response.body", "body": b"more"},
]


class BrokenError(Exception):
    pass


class Route(NamedTuple):
    path_format: str
    path: str


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = Route("/v1/jobs/{job_id}", "/v1/jobs/{job_id}")
    scope["state"]["received_bytes"] = 7
    for each in (START, *PARTS):
        await send(each)


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise BrokenError


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    raise BrokenError


async def is_left(scope: Scope, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError


def asked(application: Any, traffic: Traffic, method: str = "GET", query: bytes = b"") -> list[Message]:
    """What is sent; whatever the application raises comes through."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def run() -> None:
        scope = {"type": "http", "method": method, "path": "/v1/jobs/x", "query_string": query}
        await Meter(application, traffic, None)(scope, receive, send)

    anyio.run(run)
    return sent


def only(traffic: Traffic) -> tuple[Asked, Answers]:
    (found,) = traffic.answers()
    return found


def test_what_is_answered_goes_through_and_is_counted() -> None:
    traffic = Traffic()
    assert asked(answers, traffic) == [START, *PARTS]
    key, counted = only(traffic)
    assert key == ("/v1/jobs/{job_id}", "GET", 200)
    assert (counted.count, counted.received_bytes, counted.sent_bytes) == (1, 7, 8)
    assert (sum(counted.slow), traffic.in_progress) == (1, 0)
    assert 0 < counted.seconds < 1


@pytest.mark.parametrize(
    ("application", "status"), [(fails, 500), (breaks_off, 200)], ids=["before it answers", "after"]
)
def test_what_raises_is_counted(application: Callable[..., Any], status: int) -> None:
    traffic = Traffic()
    with pytest.raises(BrokenError):
        asked(application, traffic)
    assert only(traffic)[0] == ("none", "GET", status)
    assert traffic.in_progress == 0


def test_a_client_that_goes_has_no_status_and_took_no_time() -> None:
    traffic = Traffic()
    with pytest.raises(asyncio.CancelledError):
        asked(is_left, traffic)
    key, counted = only(traffic)
    assert (key.status, counted.count, sum(counted.slow)) == (0, 1, 0)
    assert traffic.in_progress == 0


def test_who_asks_to_wait_is_not_timed() -> None:
    traffic = Traffic()
    asked(answers, traffic, query=b"a=b&wait=30")
    counted = only(traffic)[1]
    assert (counted.count, sum(counted.slow), counted.seconds) == (1, 0, 0.0)


def test_odd_methods_are_one() -> None:
    traffic = Traffic()
    for method in ("BREW", "PROPFIND", "get"):
        asked(answers, traffic, method=method)
    key, counted = only(traffic)
    assert (key.method, counted.count) == ("OTHER", 3)


def test_a_fault_of_ours_is_a_500_in_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(RequestLines, "write", lambda *line: told.append(line[2:4]))
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}

    async def run(application: Any) -> None:
        async def send(message: Message) -> None: ...

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        await Meter(application, Traffic(), RequestLines(as_text=False))(scope, receive, send)

    anyio.run(run, answers)
    with pytest.raises(BrokenError):
        anyio.run(run, fails)
    assert told == [(200, 8), (500, 0)]
