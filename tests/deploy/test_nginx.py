"""``deploy/nginx.conf`` with a real nginx: TLS, streams, uploads, and refusals that clients can read."""

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.nginx import PROGRAM, WHY_NOT, Nginx
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.sockets import Reply, head, replies
from tests.support.training import LINE, finished, made, submit, train, upload

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
CLOSE = b"Host: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(
        workers=1, allowed_host="chainrule.example.com,localhost,127.0.0.1", trusted_proxy="127.0.0.1"
    )


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with contextlib.closing(Nginx(tmp_path_factory.mktemp("front") / "nginx", server.port)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server, nginx: Nginx) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"https://localhost:{nginx.port}",
        headers={"Authorization": f"Bearer {server.admin_key}"},
        verify=ssl.create_default_context(cafile=str(nginx.pair.certificate)),
        trust_env=False,
        timeout=60.0,
    ) as client:
        yield client


def ask(nginx: Nginx, content: bytes) -> Reply:
    context = ssl.create_default_context(cafile=str(nginx.pair.certificate))
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", nginx.port), 30), server_hostname="localhost"
    ) as client:
        client.sendall(content)
        (reply,) = replies(client)
    return reply


def test_a_job_is_trained_and_followed_through_it(client: httpx.Client) -> None:
    job = train(client, dataset_id=upload(client, LINE)["id"], target="y", training={"epochs": 5})
    with client.stream(
        "GET", f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}
    ) as stream:
        assert "event: end" in list(stream.iter_lines())
    assert client.get("/v1").headers["strict-transport-security"] == "max-age=31536000"


def test_events_come_as_they_happen(client: httpx.Client) -> None:
    body = {"dataset_id": upload(client, LINE)["id"], "target": "y"}
    job = submit(client, **body, training={"epochs": 10_000_000, "early_stopping": None})
    with client.stream(
        "GET", f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}
    ) as stream:
        lines = stream.iter_lines()
        assert next(each for each in lines if each == "event: job.started")
        start = time.monotonic()
        assert next(each for each in lines if each == "event: job.epoch")
        assert time.monotonic() - start < 10
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert finished(client, job["id"])["status"] == "cancelled"


def test_an_upload_is_read_while_it_comes(client: httpx.Client, server: Server, nginx: Nginx) -> None:
    content = b"x,y\n" + b"1,2\n" * 4_000_000
    answer = client.post("/v1/datasets", content=content, headers={"Content-Type": "text/csv"})
    assert made(answer, 201)["row_count"] == 4_000_000
    head_of = head(
        "POST",
        "/v1/datasets",
        CLOSE,
        b"Content-Type: text/csv\r\nContent-Length: 4000000\r\n",
        f"Authorization: Bearer {server.admin_key}\r\n".encode(),
    )
    context = ssl.create_default_context(cafile=str(nginx.pair.certificate))
    incoming = server.data_dir / "incoming"
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", nginx.port), 30), server_hostname="localhost"
    ) as half:
        half.sendall(head_of + content[:1_000_000])
        until(lambda: any(incoming.iterdir()), 10)  # it is there before it is whole


def test_without_a_key_a_large_upload_is_refused_at_once(client: httpx.Client) -> None:
    answer = client.post("/v1/datasets", content=b"x" * 2**23, headers={"Authorization": "Bearer wrong"})
    assert_problem(answer, 401, "unauthenticated")


def test_the_server_sees_the_client_and_not_what_it_says_of_itself(
    client: httpx.Client, server: Server
) -> None:
    answer = client.get(
        "/v1", headers={"X-Forwarded-For": "198.51.100.7", "X-Request-Id": "seen-through-nginx"}
    )
    assert answer.headers["x-request-id"] == "seen-through-nginx"

    def lines() -> list[str]:
        return [each for each in server.log.read_text().splitlines() if "seen-through-nginx" in each]

    (line,) = until(lines)  # it is written when the answer is away
    assert json.loads(line)["client"] == "127.0.0.1"


def test_plain_http_leads_to_tls(nginx: Nginx) -> None:
    answer = httpx.get(f"http://127.0.0.1:{nginx.plain}/v1?x=1", trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "https://chainrule.example.com/v1?x=1")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (head("GET", "/livez", CLOSE, b"X: " + b"a" * 20_000 + b"\r\n"), 431, "headers_too_large"),
        (head("POST", "/v1/datasets", CLOSE, b"Content-Length: 5000000000\r\n"), 413, "too_large"),
        (head("GET", "/livez", b"Host: a b\r\n"), 400, "malformed_request"),
        (
            head("POST", "/livez", CLOSE, b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            400,
            "malformed_request",
        ),
        (head("GET", "/v1", CLOSE.replace(b"localhost", b"evil.example")), 400, "unknown_host"),
    ],
)
def test_what_is_refused_is_refused_in_the_servers_own_form(
    nginx: Nginx, content: bytes, status: int, code: str
) -> None:
    reply = ask(nginx, content)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply
    document = json.loads(reply.body)
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"]


def test_while_the_server_is_away_the_answer_is_503(
    tmp_path: Path,
) -> None:
    with contextlib.closing(Nginx(tmp_path / "nginx", 9)) as nginx:
        reply = ask(nginx, head("GET", "/v1", CLOSE))
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "unavailable")
    assert reply.headers["retry-after"] == "1"
