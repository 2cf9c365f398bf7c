"""Cancel and pause at random instants of epochs that take a minute: a client sees it done within a second.

CHAINRULE_TEST_TRIES=200 CHAINRULE_TEST_SEED=1 python -m pytest tests/faults/test_stopping_in_time.py -s
"""

import os
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import httpx
import pytest
import sqlalchemy as sa

from app.storage.tables import Snapshot
from tests.support.checker import check, settle
from tests.support.recorder import Recorder
from tests.support.server import Server, until
from tests.support.training import Json, made, submit, upload

TRIES = int(os.environ.get("CHAINRULE_TEST_TRIES", "10"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(random.SystemRandom().randrange(10**6))))
ROWS = 100_000
BATCH = 8
ENDS = {"cancel": "cancelled", "pause": "paused"}


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1)


def body_of(client: httpx.Client) -> Json:
    """Wide layers and small parts of many rows: slow steps, and a great many of them to an epoch."""
    rows = "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) * (i % 7)}\n" for i in range(ROWS))
    return {
        "dataset_id": upload(client, f"a,b,c,y\n{rows}")["id"],
        "target": "y",
        "task": "regression",
        "architecture": {"layers": [{"units": 1536, "activation": "relu"}] * 2},
        "training": {"epochs": 3, "batch_size": BATCH, "early_stopping": None, "validation_fraction": 0},
    }


def seconds_of_an_epoch(server: Server, job_id: str) -> float:
    """From how far the job's snapshots are apart."""
    places = sa.select(Snapshot.step, Snapshot.created_at).where(Snapshot.job_id == job_id)
    with server.database() as database, database.reading() as session:
        rows = session.execute(places.order_by(Snapshot.number)).all()
    each = [
        (later.created_at - earlier.created_at).total_seconds() / (later.step - earlier.step)
        for earlier, later in pairwise(rows)
        if later.step > earlier.step
    ]
    return 0.85 * ROWS / BATCH * statistics.median(each) if each else 0.0


def is_running(client: httpx.Client, job_id: str) -> bool:
    return bool(client.get(f"/v1/jobs/{job_id}").json()["status"] == "running")


@pytest.mark.slow
def test_a_job_stops_within_a_second(server: Server) -> None:
    draw, recorder = random.Random(SEED), Recorder()
    took: dict[str, list[float]] = {action: [] for action in ENDS}
    with recorder.client(server) as client:
        body = body_of(client)
        job_id = submit(client, **body)["id"]
        epoch = until(partial(seconds_of_an_epoch, server, job_id), 120)
        print(f"\nseed {SEED}; an epoch takes {epoch:.0f} s")
        for _ in range(TRIES):
            until(partial(is_running, client, job_id), 20)
            time.sleep(draw.uniform(0, 3))
            action = draw.choice([*ENDS])
            start = time.monotonic()
            made(client.post(f"/v1/jobs/{job_id}/{action}"), 202)
            while client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()["status"] != ENDS[action]:
                pass
            took[action].append(time.monotonic() - start)
            if action == "pause":
                made(client.post(f"/v1/jobs/{job_id}/resume"), 202)
            else:
                job_id = submit(client, **body)["id"]
        client.post(f"/v1/jobs/{job_id}/cancel")
    settle(server)
    for action, times in took.items():
        times.sort()
        if times:
            p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
            print(f"{action}: p50 {statistics.median(times):.3f} s, p99 {p99:.3f}, most {times[-1]:.3f}")
    every = sorted([*took["cancel"], *took["pause"]])
    assert every[min(len(every) - 1, int(0.99 * len(every)))] <= 1.0
    check(server, recorder)
