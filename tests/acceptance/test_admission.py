"""What a job would take is known before it is queued."""

from collections.abc import Callable

import pytest

from tests.support.server import Server
from tests.support.training import LINE, submit, train, upload

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
