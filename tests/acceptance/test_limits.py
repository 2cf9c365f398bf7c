"""Limits of projects over HTTP: who sets them, what is refused, and what else a crowded line tells."""

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, Json, finished, made, started, submit, train, upload

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
        each
        for each in made(server.client().get("/v1/projects", params={"limit": 100}), 200)["data"]
        if each["name"] == name
    ]
    assert listed == answer


def standing(client: httpx.Client) -> Json:
    return made(client.get("/v1/limits"), 200)


def test_everybody_sees_the_limits_of_their_project(
    server: Server, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    name = f"limits/{request.node.name}"
    limit(server, request, max_bytes=10**6, max_running=3)
    flowers = upload(client, LINE)
    mine = standing(client)
    assert (mine["object"], mine["project"]) == ("limits", name)
    assert {each: most for each, most in mine["limits"].items() if most is not None} == {
        "max_running": 3,
        "max_queued": 10_000,
        "max_bytes": 10**6,
    }
    assert mine["used"]["datasets"] == 1
    assert mine["used"]["bytes"] == mine["used"]["dataset_bytes"] == flowers["size_bytes"]
    told = made(server.client().get(f"/v1/projects/{name}"), 200)
    assert {each: told[each] for each in ("limits", "used")} == {
        each: mine[each] for each in ("limits", "used")
    }
    assert (told["name"], told["max_bytes"], told["max_queued"]) == (name, 10**6, None)
    assert_problem(client.get(f"/v1/projects/{name}"), 403, "role_too_low")
    assert_problem(server.client().get("/v1/projects/none"), 404, param="name")


def test_a_project_has_as_many_datasets_as_it_may(
    server: Server, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    limit(server, request, max_datasets=1)
    text = {"Content-Type": "text/csv"}
    keyed = {**text, "Idempotency-Key": "the first"}
    first = made(client.post("/v1/datasets", content=LINE, headers=keyed), 201)
    refused = client.post("/v1/datasets", content=LINE, headers=text)
    problem = assert_problem(refused, 403, "quota_reached")
    assert (problem["quota"], problem["limit"], problem["used"]) == ("max_datasets", 1, 1)
    assert "Delete some" in problem["detail"]
    again = client.post("/v1/datasets", content=LINE, headers=keyed)
    assert (made(again, 201)["id"], again.headers["idempotency-replayed"]) == (first["id"], "true")
    late = client.post("/v1/datasets", content=LINE, headers={**text, "Idempotency-Key": "the second"})
    assert_problem(late, 403, "quota_reached")
    assert client.delete(f"/v1/datasets/{first['id']}").status_code == 204
    upload(client, LINE)


def test_a_project_has_as_many_architectures_and_aliases_as_it_may(
    server: Server, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    limit(server, request, max_architectures=1, max_aliases=1)
    body: Json = {"layers": [{"units": 2}]}
    keyed = {"Idempotency-Key": "the first"}
    first = made(client.post("/v1/architectures", json=body, headers=keyed), 201)
    problem = assert_problem(client.post("/v1/architectures", json=body), 403, "quota_reached")
    assert (problem["quota"], problem["limit"], problem["used"]) == ("max_architectures", 1, 1)
    assert made(client.post("/v1/architectures", json=body, headers=keyed), 201)["id"] == first["id"]
    job: Json = {"dataset_id": upload(client, LINE)["id"], "target": "y", "training": {"epochs": 1}}
    model = train(client, **job, architecture=body)["model_id"]  # inline it is none of them
    made(client.put("/v1/aliases/best", json={"model_id": model}), 201)
    problem = assert_problem(client.put("/v1/aliases/next", json={"model_id": model}), 403, "quota_reached")
    assert (problem["quota"], problem["limit"], problem["used"]) == ("max_aliases", 1, 1)
    made(client.put("/v1/aliases/best", json={"model_id": train(client, **job)["model_id"]}), 200)
    used = standing(client)["used"]
    assert (used["architectures"], used["aliases"]) == (1, 1)
    for path in (f"/v1/architectures/{first['id']}", "/v1/aliases/best"):
        assert client.delete(path).status_code == 204
    made(client.post("/v1/architectures", json=body), 201)
    made(client.put("/v1/aliases/next", json={"model_id": model}), 201)


def test_a_project_stores_no_more_bytes_than_it_may(
    server: Server, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    size = upload(client, LINE)["size_bytes"]
    body: Json = {"target": "y", "training": {"epochs": 3}, "architecture": {"layers": [{"units": 2}]}}
    body["dataset_id"] = made(client.get("/v1/datasets"), 200)["data"][0]["id"]
    limit(server, request, max_bytes=size + 3)
    refused = client.post("/v1/datasets", content=LINE, headers={"Content-Type": "text/csv"})
    problem = assert_problem(refused, 403, "quota_reached")
    assert (problem["quota"], problem["limit"], problem["used"]) == ("max_bytes", size + 3, size)
    assert_problem(client.post("/v1/jobs", json=body), 403, "quota_reached")
    assert standing(client)["used"]["job_bytes"] == 0
    limit(server, request, max_bytes=10**6)
    job = train(client, **body)
    kept = [each["size_bytes"] for each in made(client.get(f"/v1/jobs/{job['id']}/snapshots"), 200)["data"]]
    used = standing(client)["used"]
    assert used["job_bytes"] == sum(each for each in kept if each is not None) > 0
    assert used["model_bytes"] > 0
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.delete(f"/v1/models/{job['model_id']}").status_code == 204
    assert standing(client)["used"]["bytes"] == size


def test_a_day_has_an_end(server: Server, client: httpx.Client, request: pytest.FixtureRequest) -> None:
    body: Json = {"dataset_id": upload(client, LINE)["id"], "target": "y"}
    body["training"] = {"epochs": 10, "early_stopping": None}
    planned = made(client.post("/v1/jobs/plan", json=body), 200)["multiply_adds"]
    limit(server, request, max_multiply_adds_per_day=planned["total"] + planned["epoch"])
    train(client, **body)
    assert standing(client)["used"]["multiply_adds_today"] == planned["total"]
    refused = client.post("/v1/jobs", json=body)
    problem = assert_problem(refused, 429, "daily_quota_reached")
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400
    assert (problem["quota"], problem["used"]) == ("max_multiply_adds_per_day", planned["total"])
    forever = {**body, "training": {**body["training"], "epochs": 1000}}
    assert "Train fewer epochs" in assert_problem(client.post("/v1/jobs", json=forever), 403)["detail"]
    one = {**body, "training": {**body["training"], "epochs": 1}}
    train(client, **one)
    limit(server, request, max_multiply_adds_per_day=None, max_running=0)
    job = submit(client, **forever)["id"]
    client.post(f"/v1/jobs/{job}/cancel")
    assert standing(client)["used"]["multiply_adds_today"] == planned["total"] + planned["epoch"]


def test_requests_have_a_rate(server: Server, client: httpx.Client, request: pytest.FixtureRequest) -> None:
    limit(server, request, max_requests_per_minute=20)
    fresh = server.client("read", f"limits/{request.node.name}")  # of the same project
    answers = [(fresh if index % 2 else client).get("/v1/jobs") for index in range(41)]
    first, last = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"project";q=20;w=60'
    assert first.headers["ratelimit"].startswith('"project";r=19;t=')
    assert [each.status_code for each in answers].count(200) in range(20, 41)  # a window may begin meanwhile
    problem = assert_problem(last, 429, "rate_limited")
    assert problem["detail"].startswith("This project may make 20 requests a minute")
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert last.headers["ratelimit"].startswith('"project";r=0;t=')
    assert fresh.get("/livez").status_code == 200
    assert "ratelimit" not in server.client().get("/v1/jobs").headers
    refused = client.post("/v1/datasets", content=LINE, headers={"Content-Type": "text/csv"})
    assert_problem(refused, 429, "rate_limited")


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
