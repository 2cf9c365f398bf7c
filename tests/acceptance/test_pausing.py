"""Pause, resume and retry on a running server: at any moment, in any order, and to the same bits."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import httpx
import psutil
import pytest
import sqlalchemy as sa

from app.jobs import ledger
from app.storage.tables import Job as JobRow
from tests.support.problems import assert_problem
from tests.support.server import Server, kill, until
from tests.support.training import (
    LINE,
    Json,
    assert_gapless,
    assert_whole,
    finished,
    history,
    log_of,
    made,
    started,
    submit,
    upload,
)

pytestmark = pytest.mark.heavy

ROWS = "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) * (i % 7)}\n" for i in range(20_000))
ARCHITECTURE = {"layers": [{"units": 96, "activation": "tanh"}, {"units": 96, "activation": "tanh"}]}
TRAINING = {"epochs": 16, "batch_size": 8, "early_stopping": None, "validation_fraction": 0.1}
LONG = {
    "architecture": {"layers": [{"units": 512, "activation": "tanh"}, {"units": 512, "activation": "tanh"}]},
    "training": {**TRAINING, "batch_size": 1, "epochs": 1000},
}
"""One epoch takes many seconds."""


class Outcome(NamedTuple):
    sha256: str
    rows: list[Json]


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, snapshot_seconds=0.2, lease_seconds=5)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "pausing")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> Json:
    return upload(client, f"a,b,c,y\n{ROWS}")


@pytest.fixture(scope="module")
def body(dataset: Json) -> Json:
    return {"dataset_id": dataset["id"], "target": "y", "architecture": ARCHITECTURE, "training": TRAINING}


@pytest.fixture(scope="module")
def undisturbed(client: httpx.Client, body: Json) -> Outcome:
    return outcome(client, finished(client, submit(client, **body)["id"]))


def outcome(client: httpx.Client, job: Json) -> Outcome:
    """The parameters and the history, without how long it took."""
    assert job["status"] == "succeeded", job["error"]
    model = made(client.get(f"/v1/models/{job['model_id']}"), 200)
    rows = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in history(client, job["id"])
    ]
    assert [row["epoch"] for row in rows] == list(range(1, job["result"]["epochs"] + 1))
    return Outcome(model["sha256"], rows)


def ask(client: httpx.Client, job: Json, action: str, status: int = 202) -> Json:
    return made(client.post(f"/v1/jobs/{job['id']}/{action}"), status)


def at_rest(client: httpx.Client, job: Json) -> Json:
    """The job once nothing more happens to it."""
    query: dict[str, float | str] = {"wait": 20, "wait_for": "terminal"}
    return made(client.get(f"/v1/jobs/{job['id']}", params=query), 200)


def types(client: httpx.Client, job: Json) -> list[str]:
    """The job's log, but for its epochs and snapshots."""
    events = log_of(client, job["id"])
    assert_gapless(events)
    return [each["type"] for each in events if each["type"] not in ("job.epoch", "job.checkpoint")]


def slow(server: Server, client: httpx.Client, dataset: Json) -> Json:
    """A job in its first epoch, which takes many seconds, with a snapshot of that."""
    job = submit(client, dataset_id=dataset["id"], target="y", **LONG)
    started(client, job["id"])
    with server.database() as database:

        def has_snapshot() -> bool:
            with database.reading() as session:
                return ledger.newest(session, job["id"]) is not None

        until(has_snapshot, 20)
    return job


def freeze(server: Server, *processes: psutil.Process) -> None:
    """Suspend them, and not in a transaction, which would have everybody wait for its locks."""
    while True:
        for process in processes:
            process.suspend()
        if _nothing_is_locked(server):
            return
        for process in processes:
            process.resume()


def _nothing_is_locked(server: Server) -> bool:
    with server.database() as database, contextlib.closing(database.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        locking = ("SET LOCAL lock_timeout = 300", "SELECT id FROM jobs FOR UPDATE", "ROLLBACK")
        if database.is_sqlite:
            locking = ("PRAGMA busy_timeout = 300", "BEGIN IMMEDIATE", "ROLLBACK")
        try:
            for each in locking:
                cursor.execute(each)
        except Exception:
            return False
        return True


@contextlib.contextmanager
def deaf(server: Server) -> Iterator[psutil.Process]:
    """The trainer does not listen; at the end another has taken its place."""
    (trainer,) = server.processes().trainers
    freeze(server, trainer)
    try:
        yield trainer
    except BaseException:
        kill(trainer)  # the tests behind this one need one that listens
        raise
    until(lambda: len(server.processes().trainers) == 1 and not trainer.is_running(), 5)


def test_a_job_pauses_in_mid_epoch(server: Server, client: httpx.Client, dataset: Json) -> None:
    job = slow(server, client, dataset)
    start = time.monotonic()
    assert ask(client, job, "pause")["status"] in ("pausing", "paused")
    paused = at_rest(client, job)
    assert time.monotonic() - start < 2.0
    assert (paused["status"], paused["progress"]["phase"]) == ("paused", "paused")
    assert (paused["result"], paused["finished_at"], paused["paused_because"]) == (None, None, None)
    model = made(client.get(f"/v1/models/{paused['model_id']}"), 200)
    assert (model["job_id"], model["epoch"]) == (job["id"], 0)
    assert types(client, job) == ["job.queued", "job.started", "job.pausing", "job.paused"]
    assert_problem(client.delete(f"/v1/datasets/{dataset['id']}"), 409, "wrong_state")
    ask(client, job, "pause", 200)
    assert ask(client, job, "cancel")["status"] == "cancelled"
    done = at_rest(client, job)
    assert (done["model_id"], done["result"]["stop_reason"]) == (paused["model_id"], "cancelled")
    assert_whole(client, done)


def test_a_trainer_that_does_not_listen_is_replaced(
    server: Server, client: httpx.Client, dataset: Json
) -> None:
    job = slow(server, client, dataset)
    with deaf(server):
        start = time.monotonic()
        ask(client, job, "pause")
        paused = at_rest(client, job)
        assert time.monotonic() - start < 3.0
    assert paused["status"] == "paused"
    assert paused["model_id"] is not None  # its last snapshot
    ask(client, job, "resume")
    assert started(client, job["id"])["status"] == "running"
    ask(client, job, "cancel")
    done = at_rest(client, job)
    assert done["model_id"] != paused["model_id"]
    assert types(client, job)[2:] == [
        *("job.pausing", "job.paused", "job.resumed", "job.started"),
        *("job.cancelling", "job.cancelled"),
    ]


def has_completed(client: httpx.Client, job: Json, epochs: int) -> bool:
    read = made(client.get(f"/v1/jobs/{job['id']}"), 200)
    return bool(read["status"] == "running" and read["progress"]["completed"] >= epochs)


def test_a_job_paused_again_and_again_ends_with_the_same_bits(
    client: httpx.Client, body: Json, undisturbed: Outcome
) -> None:
    job = submit(client, **body)
    models = []
    for epochs in (1, 2, 4):
        until(partial(has_completed, client, job, epochs))
        ask(client, job, "pause")
        models.append(at_rest(client, job)["model_id"])
        ask(client, job, "resume")
    done = finished(client, job["id"])
    assert outcome(client, done) == undisturbed
    assert_whole(client, done)
    listed = made(client.get("/v1/models", params={"job_id": job["id"]}), 200)["data"]
    assert [each["id"] for each in reversed(listed)] == [*models, done["model_id"]]
    turn = ["job.pausing", "job.paused", "job.resumed", "job.started"]
    assert types(client, job) == ["job.queued", "job.started", *(3 * turn), "job.succeeded"]
    log = [each["type"] for each in log_of(client, job["id"])]
    assert ("job.checkpoint", "job.paused") in pairwise(log)  # nothing is computed twice, if there was time


def test_a_job_resumed_while_it_pauses_goes_straight_on(
    server: Server, client: httpx.Client, body: Json, undisturbed: Outcome
) -> None:
    job = submit(client, **body)
    started(client, job["id"])
    with deaf(server):
        ask(client, job, "pause")
        ask(client, job, "resume")
        ask(client, job, "resume", 200)
        done = finished(client, job["id"])
    assert outcome(client, done) == undisturbed
    turn = ["job.pausing", "job.resumed", "job.started"]
    assert types(client, job) == ["job.queued", "job.started", *turn, "job.succeeded"]


def test_a_cancellation_wins_over_a_pause(server: Server, client: httpx.Client, dataset: Json) -> None:
    job = slow(server, client, dataset)
    with deaf(server):
        ask(client, job, "pause")
        assert ask(client, job, "cancel")["status"] == "cancelling"
        problem = assert_problem(client.post(f"/v1/jobs/{job['id']}/resume"), 409, "wrong_state")
        assert problem["allowed"] == ["cancel"]
        done = at_rest(client, job)
    assert done["status"] == "cancelled"
    assert done["model_id"] is not None
    assert types(client, job)[2:] == ["job.pausing", "job.cancelling", "job.cancelled"]


def test_a_worker_that_is_killed_while_a_job_pauses_leaves_it_paused(
    server: Server, client: httpx.Client, dataset: Json
) -> None:
    job = slow(server, client, dataset)
    before = server.processes()
    freeze(server, *before.trainers, *before.supervisors)
    ask(client, job, "pause")
    kill(*before.supervisors)
    paused = at_rest(client, job)
    assert paused["status"] == "paused"
    assert paused["model_id"] is not None
    until(lambda: len(server.processes().trainers) == 1, 10)
    ask(client, job, "cancel")


@pytest.mark.slow
def test_a_queued_job_is_paused_and_resumed(server: Server, client: httpx.Client, body: Json) -> None:
    long = {**body, **LONG}
    busy = submit(client, **long, priority=5)
    started(client, busy["id"])
    job = submit(client, **long)
    ask(client, job, "resume", 200)
    paused = ask(client, job, "pause")
    assert (paused["status"], paused["model_id"], paused["queue_position"]) == ("paused", None, None)
    ask(client, busy, "cancel")
    at_rest(client, busy)
    assert at_rest(client, job)["status"] == "paused"
    ask(client, job, "resume")
    assert started(client, job["id"])["status"] == "running"
    assert types(client, job) == ["job.queued", "job.paused", "job.resumed", "job.started"]
    ask(client, job, "cancel")
    at_rest(client, job)


def test_a_job_that_took_its_trainers_down_is_tried_again(
    server: Server, client: httpx.Client, body: Json, undisturbed: Outcome
) -> None:
    job = submit(client, **body)
    started(client, job["id"])
    (trainer,) = server.processes().trainers
    freeze(server, trainer)
    with server.database() as database, database.writing() as session:
        session.execute(sa.update(JobRow).where(JobRow.id == job["id"]).values(crashes=2))
    kill(trainer)
    failed = at_rest(client, job)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "crashed_worker")
    problem = assert_problem(client.post(f"/v1/jobs/{job['id']}/resume"), 409, "wrong_state")
    assert problem["allowed"] == ["retry", "delete"]
    again = ask(client, job, "retry")
    assert (again["error"], again["finished_at"], again["retries"]) == (None, None, 1)
    ask(client, job, "retry", 200)
    done = finished(client, job["id"])
    assert (done["retries"], outcome(client, done)) == (1, undisturbed)
    assert types(client, job)[-4:] == ["job.failed", "job.queued", "job.started", "job.succeeded"]


def test_a_diverged_job_that_is_tried_again_diverges_in_the_same_epoch(client: httpx.Client) -> None:
    line = upload(client, LINE)
    options = {
        "optimizer": {"name": "gradient_descent", "learning_rate": 30.0},
        "epochs": 1000,
        "standardize": False,
        "early_stopping": None,
    }
    job = submit(client, dataset_id=line["id"], target="y", training=options)
    first = finished(client, job["id"])
    rows = history(client, job["id"])
    assert (first["error"]["code"], rows[-1]["diverged"]) == ("diverged", True)
    assert len(rows) > 1
    ask(client, job, "retry")
    second = finished(client, job["id"])
    assert (second["error"], second["result"]) == (first["error"], first["result"])
    assert history(client, job["id"]) == rows
    events = log_of(client, job["id"])
    assert not [each for each in events if each["level"] == "warning"]
    assert [each["type"] for each in events].count("job.epoch") == 1
    assert client.delete(f"/v1/datasets/{line['id']}").status_code == 204
    assert_problem(client.post(f"/v1/jobs/{job['id']}/retry"), 410, "gone")
