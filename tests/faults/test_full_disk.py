"""The disk under a server fills up at random moments, and there is room again.

`CHAINRULE_TEST_FILLS=200 pytest tests/faults/test_full_disk.py -m slow` does so often.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.checker import check, control_of, settle
from tests.support.promises import Control
from tests.support.recorder import Recorder
from tests.support.server import Server, until
from tests.support.small_disk import fill, small_disk
from tests.support.training import LINE, Json, log_of, submit, train, upload

MIB = 2**20
RESERVE = 8 * MIB
TRAINING = {"epochs": 800, "batch_size": 1, "early_stopping": None, "seed": 3}
FILLS = int(os.environ.get("CHAINRULE_TEST_FILLS", "10"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with small_disk(tmp_path / "disk", 64 * MIB) as place:
        options = {"disk_reserve_bytes": RESERVE, "snapshot_seconds": 0.02}
        server = Server(place, workers=2, **options)  # type: ignore[arg-type]
        try:
            yield server.start()
        finally:
            server.close()


class Uploader(threading.Thread):
    """Uploads one file after the other and deletes each, and counts the answers."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.over = threading.Event()
        self.answers: dict[int, int] = {}

    def run(self) -> None:
        body = "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(60_000))
        while not self.over.is_set():
            answer = self.client.post("/v1/datasets", content=body, headers={"Content-Type": "text/csv"})
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            if answer.status_code == 201:
                self.client.delete(f"/v1/datasets/{answer.json()['id']}").raise_for_status()


def seconds_until(word: str, client: httpx.Client, jobs: list[Json], most: float) -> float:
    """How long it takes until every job is in that state or at its end."""
    start, done = time.monotonic(), ("succeeded", word)

    def there() -> bool:
        return all(client.get(f"/v1/jobs/{job['id']}").json()["status"] in done for job in jobs)

    until(there, most)
    return time.monotonic() - start


def one_fill(server: Server, recorder: Recorder, body: Json, rng: random.Random) -> tuple[list[Json], int]:
    """Two jobs, and a disk that fills up while they train: they and the events of pauses."""
    with recorder.client(server) as client, recorder.client(server) as another:
        old = train(client, **{**body, "training": {**TRAINING, "epochs": 3}})
        jobs = [submit(client, **body) for _ in range(2)]
        uploader = Uploader(another)
        uploader.start()
        time.sleep(rng.uniform(0.0, 0.5))
        filler = fill(server.data_dir, rng.choice((0, 0, rng.randrange(RESERVE))))
        try:
            seconds_until("paused", client, jobs, 20)
            for job in jobs:
                now: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
                if now["status"] == "paused":
                    assert now["paused_because"]["code"] == "disk_full"

            def refused() -> int:
                fill(server.data_dir, RESERVE // 2)  # what was refused, or has ended, has made room
                return uploader.answers.get(507, 0)

            until(refused)
            fill(server.data_dir, RESERVE // 2)
            assert client.get("/readyz").json()["disk"] == "low"
            assert client.delete(f"/v1/jobs/{old['id']}").status_code == 204
        finally:
            filler.unlink()
            uploader.over.set()
            uploader.join()
        seconds_until("succeeded", client, jobs, 40)
        assert set(uploader.answers) <= {201, 507}
        paused = 0
        for job in jobs:
            events = [each for each in log_of(client, job["id"]) if each["type"] == "job.paused"]
            assert all(each["level"] == "warning" for each in events)
            paused += len(events)
        return jobs, paused


def fills(server: Server, times: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, recorder = random.Random(seed), Recorder()
    with recorder.client(server) as client:
        dataset = upload(client, LINE)
        body = {"dataset_id": dataset["id"], "target": "y", "training": TRAINING}
        undisturbed = control_of(server, train(client, **body)["id"])
    controls: dict[str, Control] = {}
    pauses = 0
    for _ in range(times):
        jobs, paused = one_fill(server, recorder, body, rng)
        controls |= {job["id"]: undisturbed for job in jobs}
        pauses += paused
    settle(server)
    check(server, recorder, controls)
    print(f"{times} fills, {pauses} pauses, {recorder.outages} answers of 507")
    assert pauses >= times // 2
    assert server.stop() == 0
    assert "unexpected" not in server.log.read_text()


def test_a_disk_that_fills_up_costs_nothing(server: Server) -> None:
    fills(server, 1)


@pytest.mark.slow
def test_a_disk_that_fills_up_again_and_again_costs_nothing(server: Server) -> None:
    fills(server, FILLS)
