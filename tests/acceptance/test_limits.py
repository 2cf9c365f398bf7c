"""Limits of projects over HTTP: who sets them, what is refused, and what else a crowded line tells."""

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, finished, made, started, submit, upload

FOREVER = {"epochs": 10_000_000, "early_stopping": None}


@pytest.fixture
def client(server: Server, request: pytest.FixtureRequest) -> httpx.Client:
    """Of a project of this test alone."""
    return server.client("write", f"limits/{request.node.name}")


def limit(server: Server, request: pytest.FixtureRequest, **limits: int | None) -> None:
    name = f"limits/{request.node.name}"
    answer = made(server.client().patch(f"/v1/projects/{name}", json=limits), 200)
    assert (answer["object"], answer["name"]) == ("project", name)
    assert {each: answer[each] for each in limits} == limits
    (listed,) = [
        each for each in made(server.client().get("/v1/projects"), 200)["data"] if each["name"] == name
    ]
    assert listed == answer


def test_limits_are_for_administrators(server: Server, client: httpx.Client) -> None:
    assert_problem(client.get("/v1/projects"), 403, "role_too_low")
    assert_problem(client.patch("/v1/projects/default", json={"max_running": 1}), 403, "role_too_low")
    admin = server.client()
    assert_problem(admin.patch("/v1/projects/none", json={"max_queued": 1}), 404, param="name")
    for wrong in (-1, True, "1", 2**31):
        response = admin.patch("/v1/projects/default", json={"max_queued": wrong})
        assert_problem(response, 422, param="max_queued")


def test_a_full_line_is_refused_until_there_is_room(
    server: Server, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    body = {"dataset_id": upload(client, LINE)["id"], "target": "y", "training": FOREVER}
    limit(server, request, max_running=1, max_queued=1)
    running = submit(client, **body)["id"]
    started(client, running)
    waiting = submit(client, **body)
    assert (waiting["status"], waiting["queue_position"]) == ("queued", 1)
    for refused in (
        client.post("/v1/jobs", json=body),
        client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "full"}),
    ):
        assert_problem(refused, 429, "too_many_jobs")
        assert int(refused.headers["retry-after"]) > 0
        assert "At most 1 job" in refused.json()["detail"]
    assert made(client.post(f"/v1/jobs/{waiting['id']}/pause"), 202)["status"] == "paused"
    next_one = submit(client, **body, name="next")["id"]
    assert_problem(client.post(f"/v1/jobs/{waiting['id']}/resume"), 429, "too_many_jobs")
    assert client.get(f"/v1/jobs/{waiting['id']}").json()["status"] == "paused"
    limit(server, request, max_queued=None)
    made(client.post(f"/v1/jobs/{waiting['id']}/resume"), 202)
    raised = made(client.patch(f"/v1/jobs/{waiting['id']}", json={"priority": 7}), 200)
    assert (raised["priority"], raised["queue_position"]) == (7, 1)
    assert client.get(f"/v1/jobs/{next_one}").json()["queue_position"] == 2
    holders = made(client.get("/v1/workers"), 200)["data"]
    assert [each["jobs"] for each in holders if each["jobs"]] == [[running]]
    assert {each["state"] for each in holders} == {"active"}
    client.post(f"/v1/jobs/{running}/cancel")
    finished(client, running)
    started(client, waiting["id"])  # there are two places, and the limit keeps one free
    assert client.get(f"/v1/jobs/{next_one}").json()["status"] == "queued"
    for job in (next_one, waiting["id"]):
        client.post(f"/v1/jobs/{job}/cancel")
        finished(client, job)
    response = client.patch(f"/v1/jobs/{running}", json={"priority": 1})
    assert_problem(response, 409, "wrong_state")
    assert response.json()["allowed"] == ["delete"]
    assert made(client.patch(f"/v1/jobs/{running}", json={"priority": 0}), 200)["priority"] == 0
