"""HEAD says what GET would, and nothing more."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.server import Server, until
from tests.support.training import XOR, made, submit, upload
from tests.support.wire import Raw, Wire

OWN = {"date", "x-request-id"}
"""Headers that no two answers have in common."""

PATHS = (
    "/livez",
    "/readyz",
    "/docs",
    "/docs/swagger-ui.css",
    "/openapi.json",
    "/v1",
    "/v1/datasets",
    "/v1/datasets/{dataset}",
    "/v1/datasets/{dataset}/content",
    "/v1/datasets/{dataset}/rows?limit=2",
    "/v1/jobs?status=queued",
    "/v1/jobs/{job}",
    "/v1/jobs/{job}/events",
    "/v1/models",
    "/v1/models/mdl_unknown",
    "/v1/nothing",
    "/v1/jobs?stauts=queued",
)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "heads")


@pytest.fixture(scope="module")
def ids(server: Server, client: httpx.Client) -> dict[str, str]:
    """The job waits for ever."""
    dataset = upload(client, XOR)["id"]
    made(server.client().patch("/v1/projects/heads", json={"max_running": 0}), 200)
    return {"dataset": dataset, "job": submit(client, dataset_id=dataset, target="y")["id"]}


@pytest.fixture(scope="module")
def wire(server: Server, client: httpx.Client) -> Iterator[Wire]:
    wire = Wire(server.port, {"Authorization": client.headers["authorization"]})
    yield wire
    wire.close()


def told(answer: Raw) -> tuple[int, dict[str, str]]:
    return answer.status, {name: value for name, value in answer.headers if name not in OWN}


@pytest.mark.parametrize("path", PATHS)
def test_the_head_is_that_of_get(wire: Wire, ids: dict[str, str], path: str) -> None:
    asked = path.format(**ids)
    head = wire.ask("HEAD", asked)
    assert told(head) == told(wire.ask("GET", asked))
    assert head.body == b""
    assert int(head.header("content-length") or 0) > 0


def test_what_is_known_already_and_parts_of_files(wire: Wire, ids: dict[str, str]) -> None:
    path = f"/v1/jobs/{ids['job']}"
    tag = wire.ask("HEAD", path).header("etag") or ""
    assert wire.ask("HEAD", path, headers={"If-None-Match": tag}).status == 304
    part = wire.ask("HEAD", f"/v1/datasets/{ids['dataset']}/content", headers={"Range": "bytes=0-3"})
    assert (part.status, part.header("content-range")) == (200, None)  # Range is GET's alone


def test_a_stream_is_over_with_its_head(server: Server, wire: Wire, ids: dict[str, str]) -> None:
    for _ in range(2):  # on one connection
        head = wire.ask("HEAD", f"/v1/jobs/{ids['job']}/events", headers={"Accept": "text/event-stream"})
        assert (head.status, head.header("content-type")) == (200, "text/event-stream; charset=utf-8")
    until(lambda: re.search(r"^chainrule_streams\S* 0(\.0)?$", server.client().get("/metrics").text, re.M))


def test_what_takes_no_get_takes_no_head(wire: Wire) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = wire.ask(method, "/v1/jobs/plan")
        assert (answer.status, answer.header("allow")) == (405, "POST")
    assert wire.ask("POST", "/v1/jobs").header("allow") is None
    assert wire.ask("PUT", "/v1/jobs").header("allow") == "GET, HEAD, POST"


def test_it_is_counted_and_logged_by_its_route(server: Server, wire: Wire, ids: dict[str, str]) -> None:
    wire.ask("HEAD", f"/v1/jobs/{ids['job']}")
    told = server.client().get("/metrics").text
    counted = [line for line in told.splitlines() if "http_requests_total{" in line and '"HEAD"' in line]
    assert [line for line in counted if '"/v1/jobs/{job_id}"' in line]
    assert '"HEAD", "route": "/v1/jobs/{job_id}"' in server.log.read_text()
