"""What every answer carries, who of another origin may read it, and whose word on the client is believed."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.settings import Settings
from app.wire.headers import COMMON
from tests.support.server import until
from tests.support.sockets import AUTHORISED, HOST, JSON, Reply, Wire, head

CLOSE = b"Connection: close\r\n"
ORIGIN = b"Origin: https://lab.example.com\r\n"
PREFLIGHT = b"Access-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: authorization\r\n"
TWO_LINES = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"

ASKED = {
    200: head("GET", "/livez", HOST, CLOSE),
    201: head("POST", "/v1/architectures", AUTHORISED, JSON, CLOSE, b"Content-Length: 13\r\n")
    + b'{"layers":[]}',
    400: TWO_LINES,
    401: head("GET", "/v1", HOST, CLOSE),
    404: head("GET", "/nothing", AUTHORISED, CLOSE),
    405: head("POST", "/livez", HOST, CLOSE),
    408: b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
    413: head("POST", "/v1/architectures", AUTHORISED, JSON, CLOSE, b"Content-Length: 99999999\r\n"),
    415: head("POST", "/v1/architectures", AUTHORISED, CLOSE, b"Content-Length: 2\r\n") + b"{}",
    422: head("POST", "/v1/architectures", AUTHORISED, JSON, CLOSE, b"Content-Length: 2\r\n") + b"{}",
    431: head("GET", "/livez", HOST, b"X: a\r\n" * 101),
}


def ask(wire: Wire, content: bytes) -> Reply:
    (reply,) = wire.ask(content)
    return reply


@pytest.mark.parametrize("status", ASKED)
def test_every_answer_has_the_headers_of_safety(wire: Wire, status: int) -> None:
    reply = ask(wire, ASKED[status])
    assert reply.status == status
    for name, value in COMMON:
        assert reply.headers[name.decode()] == value.decode()
    assert "strict-transport-security" not in reply.headers
    assert "server" not in reply.headers
    assert re.fullmatch(r"[0-9a-f]{24}", reply.headers["x-request-id"])


def test_an_answer_to_head_does_not_wait_for_a_body(wire: Wire) -> None:
    first = ask(wire, head("HEAD", "/v1/datasets", HOST, CLOSE))
    assert first.status == 401
    with wire.connect() as client:  # and does not wait for the next one
        client.sendall(head("HEAD", "/nothing", AUTHORISED))
        client.settimeout(0.7)  # a second later it is closed, and would be sent
        assert client.recv(20).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("name", [b"evil.example", b"localhost.evil.example:8000", b"10.0.0.1"])
def test_a_page_whose_name_leads_here_gets_nothing(wire: Wire, name: bytes) -> None:
    asked = head("GET", "/v1", AUTHORISED.replace(b"127.0.0.1", name), CLOSE)
    problem = ask(wire, asked).problem(400, "unknown_host")
    assert "--allowed-host" in problem["detail"]
    assert name.decode() not in json.dumps(problem)
    assert ask(wire, head("GET", "/livez", b"Host: " + name + b"\r\n", CLOSE)).status == 200


def test_no_other_origin_may_read_anything_unless_asked_for(wire: Wire) -> None:
    for asked in (
        head("GET", "/v1", AUTHORISED, ORIGIN, CLOSE),
        head("OPTIONS", "/v1", HOST, ORIGIN, PREFLIGHT, CLOSE),
    ):
        assert not [name for name in ask(wire, asked).headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def open_wire(new_wire: Callable[..., Wire]) -> Wire:
    return new_wire(
        cors_origin=("https://lab.example.com",),
        trusted_proxy=("127.0.0.1",),
        allowed_host=("ml.example.com",),
    )


def asked(method: str, path: str, *lines: bytes) -> bytes:
    authorised = AUTHORISED.replace(b"127.0.0.1", b"ml.example.com")
    return head(method, path, authorised, CLOSE, *lines)


def test_an_origin_that_is_named_may_read_answers_and_problems(open_wire: Wire) -> None:
    for path, status in (("/v1", 200), ("/v1/jobs/job_x", 404)):
        reply = ask(open_wire, asked("GET", path, ORIGIN))
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == "https://lab.example.com"
        assert "Location" in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in reply.headers
        assert reply.headers["vary"] == "Origin"


def test_its_preflights_are_answered_without_a_key(open_wire: Wire) -> None:
    reply = ask(open_wire, head("OPTIONS", "/v1/jobs", HOST, ORIGIN, PREFLIGHT, CLOSE))
    assert reply.status == 200
    assert "PATCH" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-headers"] == "authorization"
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("origin", [b"https://evil.example", b"http://lab.example.com", b"null"])
def test_no_other_origin_is_told_anything(open_wire: Wire, origin: bytes) -> None:
    line = b"Origin: " + origin + b"\r\n"
    for each in (asked("GET", "/v1", line), asked("OPTIONS", "/v1", line, PREFLIGHT)):
        assert not [name for name in ask(open_wire, each).headers if name.startswith("access-control")]


def line_of(reply: Reply, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The line of a request, which comes soon after its answer."""

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(each) for each in capfd.readouterr().err.splitlines() if each.startswith("{")]
        return [each for each in lines if each.get("request_id") == reply.headers["x-request-id"]]

    (line,) = until(told)
    return dict(line)


FORWARDED = b"X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"


def test_a_trusted_proxy_tells_who_the_client_is(open_wire: Wire, capfd: pytest.CaptureFixture[str]) -> None:
    reply = ask(open_wire, asked("GET", "/v1", FORWARDED))
    assert reply.headers["strict-transport-security"] == "max-age=31536000"
    # What is before it the client may have said itself.
    assert line_of(reply, capfd)["client"] == "203.0.113.9"


def test_nobody_else_is_believed(wire: Wire, capfd: pytest.CaptureFixture[str]) -> None:
    reply = ask(wire, head("GET", "/v1", AUTHORISED, CLOSE, FORWARDED))
    assert "strict-transport-security" not in reply.headers
    assert line_of(reply, capfd)["client"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_host", "http://ml.example.com"),
        ("allowed_host", "a b"),
        ("cors_origin", "lab.example.com"),
        ("cors_origin", "https://lab.example.com/path"),
        ("trusted_proxy", "proxy.example.com"),
        ("trusted_proxy", "10.0.0.0/99"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CHAINRULE_{name.upper()}", value)
    with pytest.raises(ValueError, match=name):
        Settings()


def test_variables_have_commas_between_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_ALLOWED_HOST", "ml.example.com, *.lab.example.com,[::1]")
    monkeypatch.setenv("CHAINRULE_TRUSTED_PROXY", "10.0.0.1,10.1.2.3/16")
    assert Settings().allowed_host == ("ml.example.com", "*.lab.example.com", "[::1]")
    assert Settings().trusted_proxy == ("10.0.0.1", "10.1.0.0/16")
