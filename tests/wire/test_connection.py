"""What clients get that say too little, too slowly, too much, or nothing that can be read in one way only."""

import contextlib
import json
import socket
import time

import pytest

from tests.support.server import until
from tests.support.sockets import AUTHORISED, HOST, JSON, Wire, closed, content_path, head, replies

LIVE = head("GET", "/livez", HOST)
LAST = head("GET", "/livez", HOST, b"Connection: close\r\n")
POST = head("POST", "/v1/architectures", AUTHORISED, JSON, b"Content-Length: 13\r\n")
BODY = b'{"layers":[]}'


def test_who_is_refused_in_the_middle_of_an_upload_can_read_why(wire: Wire) -> None:
    size = 8 * 2**20
    with wire.connect() as client:
        client.sendall(head("POST", "/v1/datasets", HOST, b"Content-Length: %d\r\n" % size))
        client.sendall(b"x" * size)  # closing at once would reset the connection here, or below
        (reply,) = replies(client)
    reply.problem(401, "unauthenticated")


@pytest.mark.parametrize("size", [70_000, 4_000_000])
def test_a_head_that_is_too_large_is_refused(wire: Wire, size: int) -> None:
    (reply,) = wire.ask(head("GET", "/livez", HOST, b"X: " + b"a" * size + b"\r\n"))
    reply.problem(431, "headers_too_large")
    (reply,) = wire.ask(
        head("GET", "/livez", HOST, b"X: " + b"a" * 20_000 + b"\r\n", b"Connection: close\r\n")
    )
    assert reply.status == 200


@pytest.mark.parametrize("size", [40_000, 100_000])
def test_a_long_path_is_not_told_as_a_whole(wire: Wire, size: int) -> None:
    (reply,) = wire.ask(head("GET", "/" + "a" * size, HOST, b"Connection: close\r\n"))
    assert reply.status in (401, 431)
    assert reply.problem(reply.status, json.loads(reply.body)["code"])["instance"] == "/" + "a" * 999


def test_so_are_too_many_headers(wire: Wire) -> None:
    (reply,) = wire.ask(head("GET", "/livez", HOST, b"X: a\r\n" * 120))
    reply.problem(431, "headers_too_large")


CHUNKED = b"Transfer-Encoding: chunked\r\n"
UNCLEAR = {
    "two lengths": head("POST", "/livez", HOST, b"Content-Length: 5\r\nContent-Length: 5\r\n") + b"hello",
    "length and chunks": head("POST", "/livez", HOST, b"Content-Length: 5\r\n", CHUNKED) + b"0\r\n\r\n",
    "chunks and length": head("POST", "/livez", HOST, CHUNKED, b"Content-Length: 5\r\n") + b"0\r\n\r\n",
    "negative length": head("POST", "/livez", HOST, b"Content-Length: -5\r\n"),
    "signed length": head("POST", "/livez", HOST, b"Content-Length: +5\r\n") + b"hello",
    "list of lengths": head("POST", "/livez", HOST, b"Content-Length: 5, 5\r\n") + b"hello",
    "huge length": head("POST", "/livez", HOST, b"Content-Length: 99999999999999999999\r\n"),
    "space before colon": head("POST", "/livez", HOST, b"Content-Length : 5\r\n") + b"hello",
    "unknown coding": head("POST", "/livez", HOST, b"Transfer-Encoding: xchunked\r\n") + b"0\r\n\r\n",
    "two codings": head("POST", "/livez", HOST, b"Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n",
    "two coding headers": head("POST", "/livez", HOST, CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "chunks of 1.0": b"POST /livez HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "no chunk": head("POST", "/livez", HOST, CHUNKED) + b"zz\r\n",
    "huge chunk": head("POST", "/livez", HOST, CHUNKED) + b"fffffffffffffffff\r\n",
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: 127.0.0.1\n\n",
    "folded header": head("GET", "/livez", HOST, b"X: a\r\n b\r\n"),
    "NUL in a header": head("GET", "/livez", HOST, b"X: a\0b\r\n"),
    "no host": head("GET", "/livez"),
    "two hosts": head("GET", "/livez", HOST, HOST),
    "HTTP/2.0": b"GET /livez HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no path": head("GET", "http://127.0.0.1", HOST),
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("content", UNCLEAR.values(), ids=UNCLEAR)
def test_what_two_servers_might_read_in_two_ways_is_refused(wire: Wire, content: bytes) -> None:
    (reply,) = wire.ask(content + LIVE)
    assert reply.headers["connection"] == "close"
    if reply.status != 405:  # the route has no POST, and says so before the body is there
        reply.problem(400, "malformed_request")


def test_a_body_whose_chunks_cannot_be_read_is_a_400_of_its_path(wire: Wire) -> None:
    (reply,) = wire.ask(head("POST", "/v1/architectures", AUTHORISED, JSON, CHUNKED) + b'2\r\n{"\r\nzz\r\n')
    assert reply.problem(400, "malformed_request")["instance"] == "/v1/architectures"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_a_wish_for_another_protocol_is_not_granted_and_costs_no_body(wire: Wire, protocol: bytes) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nUpgrade: " + protocol + b"\r\n"
    message = POST[:-2] + wish + b"\r\n" + BODY
    found = wire.ask(message[:-5], message[-5:] + LIVE, message + LAST)
    assert [each.status for each in found] == [201, 200, 201, 200]


def test_requests_in_a_row_are_answered_in_a_row(wire: Wire) -> None:
    found = wire.ask(LIVE * 10 + POST + BODY + LAST)
    assert [each.status for each in found] == [200] * 10 + [201, 200]


@pytest.mark.parametrize("rest", [LIVE * 1000, b"garbage\r\n\r\n"], ids=["too many", "garbage"])
def test_what_comes_before_the_bad_part_is_answered(wire: Wire, rest: bytes) -> None:
    found = wire.ask(LIVE * 3 + rest)
    assert 3 <= len(found) <= 20
    assert {each.status for each in found} == {200}
    assert found[-1].headers["connection"] == "close"


def test_a_body_of_tiny_chunks_is_read_at_leisure(wire: Wire) -> None:
    """Six bytes each, three million in all, as once felled another server; the probe answers beside it."""
    chunks = b"6\r\n     \n\r\n" * 500_000 + b"0\r\n\r\n"
    last = b"Connection: close\r\n"
    with wire.connect() as client:
        client.sendall(head("POST", "/v1/jobs/plan", AUTHORISED, JSON, CHUNKED, last))
        slowest = 0.0
        for number in range(0, len(chunks), len(chunks) // 20):
            client.sendall(chunks[number : number + len(chunks) // 20])
            start = time.monotonic()
            wire.ask(LAST)
            slowest = max(slowest, time.monotonic() - start)
        (reply,) = replies(client)
    assert reply.status == 400  # blanks are no JSON
    assert slowest < 1


def test_who_reads_nothing_is_cut_off(wire: Wire) -> None:
    with wire.connect() as client:
        path = content_path(client)
    until(lambda: not wire.connections(), 10)  # of other tests, and of the upload
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", wire.port))
            with contextlib.suppress(BlockingIOError):
                client.setblocking(False)
                client.send(head("GET", path, AUTHORISED))
        until(lambda: wire.connections() >= 5, 5)
        until(lambda: not wire.connections(), 10)


def test_when_the_house_is_full_who_waits_makes_room(new_wire: object) -> None:
    """Half requests, one more than may be: the probe answers all the same, and the first of them are gone."""
    small: Wire = new_wire(max_connections=16, head_seconds=30)  # type: ignore[operator]
    with contextlib.ExitStack() as stack:
        half = [stack.enter_context(small.connect()) for _ in range(40)]
        for client in half:
            client.sendall(b"GET /livez HTTP/1.1\r\n")
        (reply,) = small.ask(LAST)
        assert reply.status == 200
        assert small.connections() <= 16
        assert closed(half[0], 5) < 5


def test_when_nobody_waits_only_probes_are_answered(new_wire: object) -> None:
    small: Wire = new_wire(max_connections=16, body_seconds=30)  # type: ignore[operator]
    ask = head("GET", "/v1", AUTHORISED, b"Connection: close\r\n")
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(small.connect()).sendall(POST + b"{")
        until(lambda: small.connections() == 16, 5)
        assert small.ask(LAST)[0].status == 200
        (reply,) = small.ask(ask)
        reply.problem(503, "unavailable")
        assert reply.headers["retry-after"] == "1"
    until(lambda: small.connections() == 0, 5)
    assert small.ask(ask)[0].status == 200


def test_what_follows_a_body_is_no_header(wire: Wire) -> None:
    """It would pass all that was checked before: here, a Content-Type that the request does not have."""
    message = head("POST", "/v1/architectures", AUTHORISED, CHUNKED)
    first, rest = b"d\r\n" + BODY[:-1], BODY[-1:] + b"\r\n0\r\n" + JSON + b"Authorization: Bearer x\r\n\r\n"
    found = wire.ask(message + first + rest + LAST)
    assert [each.status for each in found] == [415, 200]


@pytest.mark.parametrize("part", [b"X: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["many", "one"])
def test_what_follows_a_body_has_its_limit(wire: Wire, part: bytes) -> None:
    with wire.connect() as client:
        client.sendall(head("POST", "/v1/architectures", AUTHORISED, JSON, CHUNKED) + b"0\r\nX: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):
                client.sendall(part)
                sent += len(part)
            (reply,) = replies(client)
            reply.problem(431, "headers_too_large")
    assert wire.connections() < 100


def test_garbage_behind_an_early_answer_gets_no_second_one(wire: Wire) -> None:
    found = wire.ask(head("POST", "/livez", HOST, CHUNKED) + b"1\r\n", b"zzzz\r\nzz\r\n" + LIVE)
    assert [each.status for each in found] == [405]
