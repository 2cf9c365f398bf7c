"""A trainer that neither computes nor ends: it is noticed, and nobody else is taken for one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.worker.stillness import Stillness, processor_seconds
from tests.support.server import Server, trainers_of, until
from tests.support.training import LINE, finished, submit, upload

COMPUTE = "while True: pass"
WAIT = "import time; time.sleep(60)"
WAIT_FOR_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {COMPUTE!r}])"
POLL = "import time\nwhile True: time.sleep(0.0005)"  # as a lane that waits for another

HAS_A_LANE = "import os, time\nif os.fork() == 0:\n while True: time.sleep(0.0005)\ntime.sleep(60)"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@contextmanager
def running(program: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as process:
        try:
            until(lambda: processor_seconds(process.pid))
            time.sleep(0.3)  # what waits has begun to
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def looked(pid: int | None, stillness: Stillness | None = None) -> Stillness:
    stillness = stillness or Stillness()
    for _ in range(5):
        stillness.look(pid, 1.0)
        time.sleep(0.05)
    return stillness


@pytest.mark.parametrize(
    ("program", "seconds"),
    [(COMPUTE, 0.0), (POLL, 0.0), (WAIT_FOR_A_CHILD, 0.0), (WAIT, 4.0), (HAS_A_LANE, 4.0)],
)
def test_who_uses_the_processor_or_waits_for_a_child_that_does_is_not_still(
    program: str, seconds: float
) -> None:
    with running(program) as pid:
        assert looked(pid).seconds == seconds


def test_who_was_stopped_is_still_until_it_goes_on() -> None:
    with running(COMPUTE) as pid:
        os.kill(pid, signal.SIGSTOP)
        stillness = looked(pid)
        assert stillness.seconds >= 3.0
        os.kill(pid, signal.SIGCONT)
        assert looked(pid, stillness).seconds == 0.0


def test_who_has_no_work_and_who_has_ended_are_not_still() -> None:
    assert looked(None).seconds == 0.0
    with subprocess.Popen(["true"]) as process:
        pass
    assert processor_seconds(process.pid) is None
    assert looked(process.pid).seconds == 0.0


@pytest.mark.slow
def test_the_job_of_a_trainer_that_was_stopped_goes_on(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1, trainer_stall_seconds=2)
    client = server.client()
    training = {"epochs": 300, "early_stopping": None, "batch_size": 1}
    network = {"layers": [{"units": 64, "activation": "tanh"}] * 2}
    asked = {"dataset_id": upload(client, LINE)["id"], "target": "y", "training": training}
    job = submit(client, **asked, architecture=network)["id"]
    until(lambda: client.get(f"/v1/jobs/{job}").json()["progress"]["completed"] > 0, 30)
    (trainer,) = trainers_of(*server.processes().supervisors)
    trainer.suspend()
    done = finished(client, job)
    assert (done["status"], done["result"]["epochs"]) == ("succeeded", 300)
    types = [each["type"] for each in client.get(f"/v1/jobs/{job}/events?limit=1000").json()["data"]]
    assert types.count("job.recovered") == 1
    again = finished(client, submit(client, **asked, architecture=network)["id"])
    hashes = {client.get(f"/v1/models/{each['model_id']}").json()["sha256"] for each in (done, again)}
    assert len(hashes) == 1
