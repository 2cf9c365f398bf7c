"""What a running server logs of requests, jobs and crashes: JSON, by ids, and nothing that a client chose."""

import json
import os
import secrets
import signal
from typing import Any

import httpx

from tests.support.server import Server, busiest, until
from tests.support.training import PENGUINS

Json = dict[str, Any]


def lines_of(server: Server) -> list[Json]:
    """Every line of the log, each of which must be an object, but for what ``migrate`` answered."""
    lines = server.log.read_text().splitlines()
    return [json.loads(line) for line in lines if not line.startswith("The schema is at revision")]


def line_of(server: Server, answer: httpx.Response) -> Json:
    """The one line of a request; it is written when its answer has been sent."""
    wanted = answer.headers["x-request-id"]

    def found() -> list[Json]:
        mine = [each for each in lines_of(server) if each.get("request_id") == wanted]
        return [each for each in mine if each["logger"] == "app.requests"]

    (line,) = until(found)
    return dict(line)


def test_a_request_is_a_line_with_its_route_and_its_key(server: Server) -> None:
    client = server.client("read", "of log lines")
    answer = client.get("/v1/jobs", params={"limit": 1})
    line = line_of(server, answer)
    assert line.pop("milliseconds") > 0
    assert line.pop("key_id").startswith("key_")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "app.requests",
        "message": "GET /v1/jobs 200",
        "process": "api",
        "method": "GET",
        "route": "/v1/jobs",
        "status": 200,
        "bytes": len(answer.content),
        "request_id": answer.headers["x-request-id"],
        "client": "127.0.0.1",
    }


def test_what_a_client_puts_into_a_path_is_not_logged(server: Server) -> None:
    planted = f"cr_{secrets.token_urlsafe(32)}"
    for path in (f"/v1/models/{planted}/predict?key={planted}", f"/{planted}%0A{{%22level%22:1}}"):
        answer = server.client().post(path, headers={"X-Planted": planted}, json={"rows": []})
        assert answer.status_code in (404, 422)
        line = line_of(server, answer)
        assert line["route"] in ("/v1/models/{model_id}/predict", "")
    refused = httpx.get(
        f"{server.url}/v1/jobs", headers={"Authorization": f"Bearer {planted}"}, trust_env=False
    )
    assert (refused.status_code, line_of(server, refused)["key_id"]) == (401, "")
    assert planted not in server.log.read_text()


def test_a_forged_request_id_is_replaced(server: Server) -> None:
    answer = server.client().get("/v1", headers={"X-Request-Id": 'x", "level": "FORGED'})
    assert '"' not in answer.headers["x-request-id"]
    line_of(server, answer)
    assert all("FORGED" not in json.dumps(each) for each in lines_of(server))


def test_a_killed_trainer_is_a_line_with_its_job(server: Server) -> None:
    client = server.client("write", "of log lines")
    sent = client.post("/v1/datasets", content=PENGUINS.read_bytes(), headers={"Content-Type": "text/csv"})
    training = {"epochs": 1_000_000, "early_stopping": None}
    body = {"dataset_id": sent.json()["id"], "target": "species", "training": training}
    job = client.post("/v1/jobs", json=body).raise_for_status().json()
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["progress"]["completed"] > 0)
    killed = busiest(server.processes().trainers)
    os.kill(killed.pid, signal.SIGKILL)

    def told() -> list[Json]:
        return [each for each in lines_of(server) if each["message"] == f"trainer {killed.pid} died: -9"]

    (line,) = until(told)
    assert (line["level"], line["process"], line["job_id"]) == ("WARNING", "supervisor", job["id"])
    assert line["worker"].startswith("wrk_")
    client.post(f"/v1/jobs/{job['id']}/cancel")
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled")
