"""A worker that is told to go hands its jobs to another at once, and takes no more."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.support.server import Server, alive, trainers_of, until
from tests.support.training import LINE, Json, history, log_of, made, submit, upload

pytestmark = pytest.mark.heavy

HAND_OVER_SECONDS = 1.0
TRIES = 3
"""The machine may be busy with something else once."""


def holder(server: Server, job_id: str) -> Json | None:
    """The worker that holds the job."""
    workers = made(server.client().get("/v1/workers"), 200)["data"]
    return next((each for each in workers if job_id in each["jobs"]), None)


def two_workers(new_server: Callable[..., Server], **settings: object) -> Server:
    server = new_server(workers=0, **settings)
    for _ in range(2):
        server.another_worker()
    until(lambda: server.client().get("/readyz").json()["workers"] == 2, 20.0)
    return server


def long_job(server: Server) -> str:
    client = server.client()
    training = {"epochs": 10_000_000, "early_stopping": None}
    job_id: str = submit(client, dataset_id=upload(client, LINE)["id"], target="y", training=training)["id"]
    until(lambda: history(client, job_id), 20.0)
    return job_id


def trains_on(server: Server, job_id: str) -> None:
    """Wait until its trainer, which may have been started just now, has got further with it."""

    def completed() -> int:
        done: int = made(server.client().get(f"/v1/jobs/{job_id}"), 200)["progress"]["completed"]
        return done

    seen = completed()
    until(lambda: completed() > seen, 20.0)


@pytest.mark.slow
def test_another_worker_goes_on_at_once(new_server: Callable[..., Server]) -> None:
    server = two_workers(new_server)
    job_id = long_job(server)
    took = []
    for _ in range(TRIES):
        old = until(lambda: holder(server, job_id))
        trains_on(server, job_id)
        process = psutil.Process(old["pid"])
        start = time.monotonic()
        process.terminate()
        new = until(lambda: (now := holder(server, job_id)) and now["id"] != old["id"] and now)  # noqa: B023
        took.append(time.monotonic() - start)
        until(lambda: not alive(process), 10.0)  # noqa: B023
        assert [each["id"] for each in made(server.client().get("/v1/workers"), 200)["data"]] == [new["id"]]
        if took[-1] <= HAND_OVER_SECONDS:
            break
        server.another_worker()
        until(lambda: server.client().get("/readyz").json()["workers"] == 2, 20.0)
    assert min(took) <= HAND_OVER_SECONDS, took
    log = [each["type"] for each in log_of(server.client(), job_id)]
    assert log.count("job.recovered") == len(took)
    assert "job.warning" not in log


@pytest.mark.slow
def test_a_worker_that_goes_says_so_and_takes_nothing(new_server: Callable[..., Server]) -> None:
    server = two_workers(new_server)
    job_id = long_job(server)
    client = server.client()
    old = until(lambda: holder(server, job_id))
    process = psutil.Process(old["pid"])
    (trainer,) = trainers_of(process)
    os.kill(trainer.pid, signal.SIGSTOP)  # it cannot be heard, and has to be killed
    start = time.monotonic()
    process.terminate()
    going = until(lambda: (now := holder(server, job_id)) and now["state"] == "draining" and now)
    assert going["id"] == old["id"]
    ready = client.get("/readyz").json()
    assert (ready["workers"], ready["draining"]) == (1, 1)
    until(lambda: (now := holder(server, job_id)) and now["id"] != old["id"], 10.0)
    until(lambda: not alive(process), 10.0)
    assert time.monotonic() - start <= 10.0
    assert "job.recovered" in [each["type"] for each in log_of(client, job_id)]
