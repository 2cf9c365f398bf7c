"""What a job would take is known before it is queued."""

from collections.abc import Callable

import pytest

from tests.support.server import Server
from tests.support.training import LINE, submit, train, upload

pytestmark = pytest.mark.heavy

MIB = 2**20
ALLOWED = 120 * MIB


@pytest.fixture(scope="module")
def narrow_server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, job_memory_bytes=ALLOWED)


def test_a_job_that_would_not_fit_is_refused_with_the_numbers(narrow_server: Server) -> None:
    client = narrow_server.client()
    data = upload(client, LINE)
    layers = [{"units": 2000, "activation": "relu"}] * 3
    body = {"dataset_id": data["id"], "target": "y", "architecture": {"layers": layers}}
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    (fault,) = problem["errors"]
    assert (fault["param"], fault["code"]) == ("architecture.layers", "too_large_for_memory")
    assert fault["hint"]
    memory = problem["memory"]
    assert memory["allowed"] == ALLOWED < memory["total"]
    parameters = 8_010_001
    assert memory["parameters"] > 2 * 4 * parameters
    assert memory["optimizer"] == 2 * 4 * parameters
    assert client.get("/v1/jobs").json()["data"] == []
    assert client.get("/v1").json()["limits"]["job_memory_bytes"] == ALLOWED


def test_one_that_fits_says_what_it_needs(narrow_server: Server) -> None:
    client = narrow_server.client()
    data = upload(client, LINE)
    small = submit(client, dataset_id=data["id"], target="y", training={"epochs": 1})
    assert 64 * MIB < small["memory_bytes"] < ALLOWED
    done = train(client, dataset_id=data["id"], target="y", training={"epochs": 1, "dtype": "float64"})
    assert small["memory_bytes"] < done["memory_bytes"] < ALLOWED


def test_a_plan_is_what_the_job_becomes_and_creates_nothing(narrow_server: Server) -> None:
    client = narrow_server.client()
    data = upload(client, LINE)
    jobs = client.get("/v1/jobs").json()["data"]
    body = {"dataset_id": data["id"], "target": "y", "training": {"epochs": 7, "batch_size": 8}}
    answer = client.post("/v1/jobs/plan", json=body)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert client.get("/v1/jobs").json()["data"] == jobs
    job = submit(client, **body)
    for name in ("task", "target", "features", "architecture", "training", "warnings"):
        assert plan[name] == job[name]
    assert plan["memory"]["total"] == job["memory_bytes"] <= plan["memory"]["allowed"] == ALLOWED
    split = client.get(f"/v1/jobs/{job['id']}/split").json()
    assert plan["rows"] == {name: len(split[name]) for name in ("train", "validation", "test")}
    assert plan["parameters"] == 1 * 100 + 100 + 100 + 1
    trained = plan["rows"]["train"] * (3 * 301 - 100)
    assert plan["multiply_adds"]["epoch"] == trained + plan["rows"]["validation"] * 301
    assert plan["multiply_adds"]["total"] == 7 * plan["multiply_adds"]["epoch"]
    seconds = plan["estimated_seconds"]
    assert 0 < seconds["epoch"] < 1
    assert seconds["total"] == pytest.approx(7 * seconds["epoch"])
    timed = {**body, "training": {"epochs": 10**6, "time_budget_seconds": 2.5}}
    assert client.post("/v1/jobs/plan", json=timed).json()["estimated_seconds"]["total"] == 2.5


def test_a_plan_refuses_what_a_job_would(narrow_server: Server) -> None:
    client = narrow_server.client()
    data = upload(client, LINE)
    body = {"dataset_id": data["id"], "target": "y"}
    large = {**body, "architecture": {"layers": [{"units": 5000}] * 2}}
    unknown = {**body, "dataset_id": "ds_unknown"}
    misfit = {**body, "initial_parameters": [{"W": [[1.0]], "b": [0.0]}]}
    for refused in (large, unknown, misfit, {**body, "epochs": 3}):
        plan, job = (client.post(path, json=refused) for path in ("/v1/jobs/plan", "/v1/jobs"))
        assert plan.status_code == job.status_code >= 400
        assert plan.json()["errors"] == job.json()["errors"]
