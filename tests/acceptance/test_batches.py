"""Predictions of whole datasets: the same as one by one, once, and not after a cancellation or a crash."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import LINE, PENGUINS, Json, made, train, upload

pytestmark = pytest.mark.heavy

SHORT = {"epochs": 10}
ENDED = ("succeeded", "failed", "cancelled")
LONG_ROWS = 300_000
LONG = "x,y\n" + "".join(f"{i / 7},{i % 13}\n" for i in range(LONG_ROWS))


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "batches")


@pytest.fixture(scope="module")
def flowers(client: httpx.Client) -> Json:
    """A dataset of penguins and a model of them."""
    dataset = upload(client, PENGUINS.read_bytes(), "penguins")["id"]
    job = train(client, dataset_id=dataset, target="species", training=SHORT)
    return {"dataset_id": dataset, "model_id": job["model_id"]}


def submitted(client: httpx.Client, **body: Any) -> Json:
    response = client.post("/v1/batches", json=body)
    batch = made(response, 202)
    assert response.headers["location"] == f"/v1/batches/{batch['id']}"
    return batch


def ended(client: httpx.Client, batch_id: str, seconds: float = 40.0) -> Json:
    """Once it has ended, which the server waits for."""
    found = made(client.get(f"/v1/batches/{batch_id}", params={"wait": seconds}), 200)
    assert found["status"] in ENDED
    return found


def rows_of(client: httpx.Client, dataset_id: str) -> list[Json]:
    page = made(client.get(f"/v1/datasets/{dataset_id}/rows", params={"limit": 1000}), 200)
    data: list[Json] = page["data"]
    return data


def test_a_dataset_becomes_a_dataset_of_predictions(client: httpx.Client, flowers: Json) -> None:
    batch = submitted(client, **flowers, name="march", metadata={"team": "a"})
    assert (batch["object"], batch["status"], batch["result_dataset_id"]) == ("batch", "queued", None)
    done = ended(client, batch["id"])
    assert done["status"] == "succeeded", done["error"]
    rows = rows_of(client, flowers["dataset_id"])
    assert done["progress"] == {"completed": len(rows), "total": len(rows), "unit": "row"}
    assert done["started_at"] <= done["finished_at"]
    dataset = made(client.get(f"/v1/datasets/{done['result_dataset_id']}"), 200)
    assert (dataset["name"], dataset["metadata"]) == ("march", {"team": "a"})
    types = {each["name"]: each["type"] for each in dataset["columns"]}
    assert types["prediction"] == "category"
    found = rows_of(client, done["result_dataset_id"])
    path = f"/v1/models/{flowers['model_id']}/predict"
    said = made(client.post(path, json={"rows": rows}), 200)
    assert [each["prediction"] for each in found] == said["predictions"]
    for name in said["probabilities"][0]:
        ours = [each[f"probability_{name}"] for each in found]
        np.testing.assert_allclose(ours, [each[name] for each in said["probabilities"]], atol=1e-6)
    assert [each["bill_length_mm"] for each in found] == [each["bill_length_mm"] for each in rows]
    listed = made(client.get("/v1/batches", params={"status": "succeeded", "name": "march"}), 200)
    assert [each["id"] for each in listed["data"]] == [batch["id"]]


def test_a_request_that_is_sent_again_begins_nothing_more(client: httpx.Client, flowers: Json) -> None:
    headers = {"Idempotency-Key": "one batch"}
    first, again = (client.post("/v1/batches", json=flowers, headers=headers) for _ in range(2))
    assert again.headers["idempotency-replayed"] == "true"
    assert made(again, 202)["id"] == made(first, 202)["id"]
    ended(client, first.json()["id"])


def test_a_dataset_that_does_not_fit_fails_with_the_reasons(client: httpx.Client, flowers: Json) -> None:
    other = upload(client, LINE)["id"]
    done = ended(client, submitted(client, **flowers | {"dataset_id": other})["id"])
    assert done["status"] == "failed"
    assert done["error"]["code"] == "invalid_dataset"
    assert {"columns.island", "columns.x"} <= {each["param"] for each in done["error"]["errors"]}
    assert done["result_dataset_id"] is None


def test_what_is_not_there_is_refused(client: httpx.Client, flowers: Json) -> None:
    for name in flowers:
        response = client.post("/v1/batches", json=flowers | {name: "ds_none"})
        assert_problem(response, 404, "not_found", name)
    assert_problem(client.get("/v1/batches/bat_none"), 404, "not_found", "batch_id")
    assert_problem(client.post("/v1/batches", json={**flowers, "rows": []}), 422, "unknown_field", "rows")


def test_one_that_is_deleted_meanwhile_fails(client: httpx.Client, flowers: Json) -> None:
    dataset = upload(client, PENGUINS.read_bytes())["id"]
    batch = submitted(client, **flowers | {"dataset_id": dataset})["id"]
    client.delete(f"/v1/datasets/{dataset}")
    done = ended(client, batch)
    assert done["status"] == "succeeded" or done["error"]["code"] == "not_found"


def test_its_rows_count_in_the_day(server: Server, client: httpx.Client, long: Json) -> None:
    def today() -> int:
        return int(made(client.get("/v1/limits"), 200)["used"]["multiply_adds_today"])

    parameters = made(client.get(f"/v1/models/{long['model_id']}"), 200)["parameter_count"]
    cost, before = LONG_ROWS * parameters, today()
    first, second = (submitted(client, **long)["id"] for _ in range(2))
    assert today() == before + 2 * cost
    for batch, left in ((second, cost), (first, 0)):  # one at a time is worked at
        made(client.post(f"/v1/batches/{batch}/cancel"), 200)
        assert before + left >= today()
        assert today() == before + left or left == 0
    quota = {"max_multiply_adds_per_day": before + cost - 1}
    try:
        made(server.client().patch("/v1/projects/batches", json=quota), 200)
        problem = assert_problem(client.post("/v1/batches", json=long), 429, "daily_quota_reached")
        assert problem["quota"] == "max_multiply_adds_per_day"
        quota = {"max_multiply_adds_per_day": cost - 1}
        made(server.client().patch("/v1/projects/batches", json=quota), 200)
        detail = assert_problem(client.post("/v1/batches", json=long), 403, "quota_reached")["detail"]
        assert "Predict fewer rows" in detail
    finally:
        quota = {"max_multiply_adds_per_day": None}
        made(server.client().patch("/v1/projects/batches", json=quota), 200)


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["model", "dataset"])
def test_what_is_deleted_while_it_runs_is_not_missed(
    server: Server, client: httpx.Client, long: Json, gone: str
) -> None:
    """It fails, or comes to its end: it does not hang, and what it wrote for itself goes."""
    short = upload(client, "\n".join(LONG.splitlines()[:200]))["id"]
    job = train(client, dataset_id=short, target="y", task="regression", training={"epochs": 1})
    mine = {"model_id": job["model_id"], "dataset_id": upload(client, LONG)["id"]}
    batch = submitted(client, **mine)["id"]
    until(lambda: client.get(f"/v1/batches/{batch}").json()["status"] == "running", 20)
    assert client.delete(f"/v1/{gone}s/{mine[f'{gone}_id']}").status_code == 204
    done = ended(client, batch)
    assert done["status"] == "succeeded" or done["error"]["code"] == "not_found", done
    until(lambda: not list((server.data_dir / "incoming").glob("tmp*")), 10)


@pytest.fixture(scope="module")
def long(client: httpx.Client) -> Json:
    """What takes a few seconds."""
    dataset = upload(client, LONG, "long")["id"]
    short = upload(client, "\n".join(LONG.splitlines()[:200]))["id"]
    job = train(client, dataset_id=short, target="y", task="regression", training={"epochs": 1})
    return {"dataset_id": dataset, "model_id": job["model_id"]}


def test_a_cancelled_one_leaves_nothing(server: Server, client: httpx.Client, long: Json) -> None:
    before = {each["id"] for each in datasets(client)}
    batch = submitted(client, **long)
    assert_problem(client.delete(f"/v1/batches/{batch['id']}"), 409, "wrong_state")
    path = f"/v1/batches/{batch['id']}"
    until(lambda: client.get(path).json()["status"] == "running", 20)
    for _ in range(2):
        assert made(client.post(f"{path}/cancel"), 200)["status"] == "cancelled"
    until(lambda: not list((server.data_dir / "incoming").glob("tmp*")), 10)
    assert made(client.get(path), 200)["status"] == "cancelled"
    assert {each["id"] for each in datasets(client)} == before
    assert client.delete(path).status_code == 204


def test_what_has_ended_cannot_be_cancelled(client: httpx.Client, flowers: Json) -> None:
    batch = submitted(client, **flowers)
    assert ended(client, batch["id"])["status"] == "succeeded"
    problem = assert_problem(client.post(f"/v1/batches/{batch['id']}/cancel"), 409, "wrong_state")
    assert problem["allowed"] == ["delete"]


def test_a_project_that_may_have_no_more_datasets_gets_none(
    server: Server, client: httpx.Client, flowers: Json
) -> None:
    count = len(datasets(client))
    quota = server.client().patch("/v1/projects/batches", json={"max_datasets": count})
    assert quota.status_code == 200
    try:
        assert_problem(client.post("/v1/batches", json=flowers), 403, "quota_reached")
    finally:
        server.client().patch("/v1/projects/batches", json={"max_datasets": None})


def datasets(client: httpx.Client) -> list[Json]:
    data: list[Json] = made(client.get("/v1/datasets", params={"limit": 100}), 200)["data"]
    return data


@pytest.mark.slow
def test_a_child_that_is_killed_five_times_ends_it_once(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1)
    client = server.client("write", "killed")
    dataset = upload(client, LONG + LONG.partition("\n")[2] * 4, "long")["id"]
    short = upload(client, "\n".join(LONG.splitlines()[:200]))["id"]
    job = train(client, dataset_id=short, target="y", task="regression", training={"epochs": 1})
    before = {each["id"] for each in datasets(client)}
    batch = submitted(client, dataset_id=dataset, model_id=job["model_id"])["id"]
    waiting = {each.pid for each in server.processes().readers}
    killed: list[int] = []
    while len(killed) < 5:
        readers = [each for each in server.processes().readers if each.pid not in waiting]
        for reader in readers:
            time.sleep(random.uniform(0.0, 0.4))
            with contextlib.suppress(ProcessLookupError):
                os.kill(reader.pid, signal.SIGKILL)
                killed.append(reader.pid)
                waiting.add(reader.pid)
        assert made(client.get(f"/v1/batches/{batch}"), 200)["status"] in ("queued", "running")
    done = ended(client, batch, 60)
    assert done["status"] == "succeeded", done
    assert {each["id"] for each in datasets(client)} - before == {done["result_dataset_id"]}


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_killed_server_ends_it_once(new_server: Callable[..., Server], kills: int) -> None:
    server = new_server(workers=1, lease_seconds=5)
    client = server.client("write", "killed")
    dataset = upload(client, LONG, "long")["id"]
    short = upload(client, "\n".join(LONG.splitlines()[:200]))["id"]
    job = train(client, dataset_id=short, target="y", task="regression", training={"epochs": 1})
    for _ in range(kills):
        before = {each["id"] for each in datasets(client)}
        batch = submitted(client, dataset_id=dataset, model_id=job["model_id"])["id"]
        time.sleep(random.uniform(0.0, 3.0))
        server.kill_everything()
        server.restart()
        done = ended(client, batch, 60)
        assert done["status"] == "succeeded", json.dumps(done)
        assert {each["id"] for each in datasets(client)} - before == {done["result_dataset_id"]}
        found = made(client.get(f"/v1/datasets/{done['result_dataset_id']}"), 200)
        assert found["row_count"] == LONG.count("\n") - 1
