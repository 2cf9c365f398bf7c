"""Clients that say too little, or too slowly. All of them come at once: each takes a while."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.support.sockets import AUTHORISED, HOST, JSON, Reply, Wire, head, replies

LIVE = head("GET", "/livez", HOST)
CSV = b"Content-Type: text/csv\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG = b"Content-Length: 1000000\r\n"


class Said(NamedTuple):
    """``first`` at once, then each of ``rest`` after a pause, for as long as the server is there."""

    first: bytes
    rest: list[bytes]
    pause: float


SAID = {
    "half a head": Said(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n", [], 0),
    "a head byte by byte": Said(b"GET /livez HTTP/1.1\r\nX: ", [b"a"] * 500, 0.02),
    "nothing": Said(b"", [], 0),
    "nothing more": Said(LIVE, [], 0),
    "empty lines": Said(LIVE, [b"\r\n"] * 100, 0.1),
    "half a body": Said(head("POST", "/v1/architectures", AUTHORISED, JSON, LONG) + b'{"la', [], 0),
    "no body": Said(head("POST", "/v1/datasets", AUTHORISED, CSV, LONG), [], 0),
    "a trickle": Said(head("POST", "/v1/datasets", AUTHORISED, CSV, CHUNKED), [b"1\r\n1\r\n"] * 200, 0.05),
    "a body behind its answer": Said(head("POST", "/livez", HOST, LONG) + b"{", [], 0),
    "a body without a key": Said(head("POST", "/v1/datasets", HOST, LONG) + b"{", [], 0),
    # Some 4,000 bytes a second, for twice as long as a silent one may take.
    "a slow body": Said(
        head("POST", "/v1/datasets", AUTHORISED, CSV, b"Content-Length: 8000\r\nConnection: close\r\n"),
        [b"1,2\n" * 100] * 20,
        0.1,
    ),
}


class Heard(NamedTuple):
    replies: list[Reply]
    seconds: float

    def one(self) -> Reply:
        (reply,) = self.replies
        return reply


def speak(wire: Wire, said: Said) -> Heard:
    start, found = time.monotonic(), []
    with wire.connect() as client, contextlib.suppress(ConnectionError):
        client.sendall(said.first)
        for part in said.rest:
            time.sleep(said.pause)
            client.sendall(part)
        found = replies(client)
    return Heard(found, time.monotonic() - start)


@pytest.fixture(scope="module")
def heard(wire: Wire) -> Iterator[Callable[[str], Heard]]:
    with ThreadPoolExecutor(len(SAID)) as pool:
        coming: dict[str, Future[Heard]] = {
            name: pool.submit(speak, wire, said) for name, said in SAID.items()
        }
        yield lambda name: coming[name].result()


def test_a_head_that_is_not_whole_is_answered_and_closed(heard: Callable[[str], Heard]) -> None:
    found = heard("half a head")
    found.one().problem(408, "request_timeout")
    assert 0.4 < found.seconds < 4


def test_a_head_that_grows_byte_by_byte_is_cut_off_too(heard: Callable[[str], Heard]) -> None:
    assert heard("a head byte by byte").seconds < 8


@pytest.mark.parametrize(("name", "count"), [("nothing", 0), ("nothing more", 1)])
def test_silence_is_closed_without_a_word(heard: Callable[[str], Heard], name: str, count: int) -> None:
    assert [each.status for each in heard(name).replies] == [200] * count


def test_empty_lines_between_requests_keep_nobody_here(heard: Callable[[str], Heard]) -> None:
    assert heard("empty lines").seconds < 8


@pytest.mark.parametrize("name", ["half a body", "no body"])
def test_a_body_that_does_not_come_is_a_408(heard: Callable[[str], Heard], name: str) -> None:
    found = heard(name)
    found.one().problem(408, "request_timeout")
    assert found.one().headers["connection"] == "close"
    assert 0.5 < found.seconds < 5


def test_a_trickle_is_no_better_than_silence(heard: Callable[[str], Heard]) -> None:
    assert heard("a trickle").seconds < 8


def test_a_slow_body_that_is_fast_enough_arrives(heard: Callable[[str], Heard]) -> None:
    assert heard("a slow body").one().status == 201


@pytest.mark.parametrize(
    ("name", "status"), [("a body behind its answer", 405), ("a body without a key", 401)]
)
def test_an_early_answer_does_not_keep_a_slow_body_here(
    heard: Callable[[str], Heard], name: str, status: int
) -> None:
    found = heard(name)
    assert found.one().status == status
    assert found.seconds < 7
