"""Cancelling: queued, running, in the middle of a long epoch, and twice."""

import time

import httpx
import pytest

from app.jobs import ledger
from app.storage.tables import Snapshot
from tests.support.problems import assert_problem
from tests.support.server import Server, busiest, until
from tests.support.training import (
    LINE,
    Json,
    assert_whole,
    finished,
    history,
    log_of,
    made,
    started,
    submit,
    train,
    upload,
)

pytestmark = pytest.mark.heavy

ROWS = "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) - (i % 89)}\n" for i in range(60_000))
BIG = {"layers": [{"units": 1024, "activation": "tanh"}, {"units": 1024, "activation": "tanh"}]}
SLOW = {"batch_size": 16, "epochs": 1000, "early_stopping": None}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "cancelling")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> Json:
    return upload(client, f"a,b,c,y\n{ROWS}")


def slow(client: httpx.Client, dataset: Json, **more: object) -> Json:
    """A job whose first epoch takes many seconds."""
    return submit(client, dataset_id=dataset["id"], target="y", architecture=BIG, training=SLOW, **more)


def cancel(client: httpx.Client, job: Json) -> httpx.Response:
    return client.post(f"/v1/jobs/{job['id']}/cancel")


def running(server: Server, client: httpx.Client, job: Json) -> None:
    """Until its trainer is in the middle of its first epoch: the first snapshot is written."""
    started(client, job["id"])
    with server.database() as database:

        def snapshot() -> Snapshot | None:
            with database.reading() as session:
                return ledger.newest(session, job["id"])

        until(snapshot, 20)


def test_a_running_job_ends_in_mid_epoch(server: Server, client: httpx.Client, dataset: Json) -> None:
    job = slow(client, dataset)
    running(server, client, job)
    start = time.monotonic()
    answer = cancel(client, job)
    assert made(answer, 202)["status"] in ("cancelling", "cancelled")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    done = finished(client, job["id"])
    assert time.monotonic() - start < 2.0
    assert done["status"] == "cancelled"
    assert done["result"]["stop_reason"] == "cancelled"
    assert (done["result"]["epochs"], done["progress"]["completed"]) == (0, 0)  # in its first epoch
    assert assert_whole(client, done) == []
    types = [each["type"] for each in log_of(client, job["id"]) if each["type"] != "job.checkpoint"]
    assert types == ["job.queued", "job.started", "job.cancelling", "job.cancelled"]


def test_what_was_reached_is_a_model(client: httpx.Client) -> None:
    data = upload(client, LINE)
    training = {"epochs": 10_000_000, "early_stopping": None}
    job = submit(client, dataset_id=data["id"], target="y", training=training)
    until(lambda: history(client, job["id"]))
    cancel(client, job)
    done = finished(client, job["id"])
    rows = assert_whole(client, done)
    model = made(client.get(f"/v1/models/{done['model_id']}"), 200)
    assert model["epoch"] == done["result"]["epochs"] == len(rows)
    assert model["cost"] == done["result"]["cost"]
    assert model["cost"] < rows[0]["cost"]
    answer = client.post(f"/v1/models/{done['model_id']}/predict", json={"rows": [{"x": 1}]})
    assert len(made(answer, 200)["predictions"]) == 1


def test_a_trainer_that_does_not_listen_is_replaced(
    server: Server, client: httpx.Client, dataset: Json
) -> None:
    job = slow(client, dataset)
    running(server, client, job)
    busy = busiest(server.processes().trainers)
    busy.suspend()
    start = time.monotonic()
    cancel(client, job)
    done = finished(client, job["id"])
    assert time.monotonic() - start < 3.0
    assert done["status"] == "cancelled"
    assert done["model_id"] is not None  # its last snapshot
    until(lambda: len(server.processes().trainers) == 2 and not busy.is_running(), 20)
    assert train(client, dataset_id=dataset["id"], target="y", training={"epochs": 1, "batch_size": "full"})


def test_a_queued_job_never_runs(server: Server, client: httpx.Client, dataset: Json) -> None:
    busy = [slow(client, dataset, priority=5) for _ in range(2)]
    for each in busy:
        started(client, each["id"])
    job = slow(client, dataset)
    assert made(cancel(client, job), 202)["status"] == "cancelled"
    done = finished(client, job["id"])
    assert (done["started_at"], done["model_id"], done["result"]["epochs"]) == (None, None, 0)
    assert [each["type"] for each in log_of(client, job["id"])] == ["job.queued", "job.cancelled"]
    for each in busy:
        cancel(client, each)
        finished(client, each["id"])


def test_cancelling_again_answers_200_and_changes_nothing(client: httpx.Client, dataset: Json) -> None:
    job = slow(client, dataset)
    assert cancel(client, job).status_code == 202
    assert cancel(client, job).status_code == 200
    done = finished(client, job["id"])
    assert made(cancel(client, job), 200) == done
    types = [each["type"] for each in log_of(client, job["id"])]
    assert types.count("job.cancelling") <= 1
    assert types.count("job.cancelled") == 1


def test_a_finished_job_cannot_be_cancelled(client: httpx.Client, dataset: Json) -> None:
    job = train(client, dataset_id=dataset["id"], target="y", training={"epochs": 1, "batch_size": "full"})
    problem = assert_problem(cancel(client, job), 409, "wrong_state")
    assert "succeeded" in problem["detail"]
    assert problem["allowed"] == ["delete"]
