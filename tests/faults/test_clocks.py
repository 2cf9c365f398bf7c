"""The clock of Postgres's host is set, forward and back, while a job trains: it goes on, to the same bits."""

import os
import random
import time
from collections.abc import Iterator
from functools import partial

import pytest
import sqlalchemy as sa

from app.storage.database import Database
from app.storage.tables import Job
from tests.support.checker import check, control_of, settle
from tests.support.postgres import Postgres
from tests.support.server import Server, kill, until
from tests.support.training import finished, made, submit, upload

JUMPS = int(os.environ.get("CHAINRULE_TEST_JUMPS", "10"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(time.time_ns() % 2**32)))
ROWS = "a,b,y\n" + "".join(f"{i % 17},{i % 13},{(i % 17) * (i % 7)}\n" for i in range(1500))
TRAINING = {"epochs": 100, "batch_size": 4, "early_stopping": None}

pytestmark = pytest.mark.slow

HOUR, DAY = 3600, 86400
SKEW = """
CREATE SCHEMA skew;
CREATE TABLE skew.jump (seconds float8);
INSERT INTO skew.jump VALUES (0);
CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT pg_catalog.clock_timestamp() + (SELECT seconds FROM skew.jump) * interval ''1 second''';
"""
"""Postgres finds this clock before its own one."""


class Skewed:
    """The server's database, to set its clock in."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, 2)
        name = self.database.url.database
        with self.database.engine.begin() as connection:
            for each in SKEW.split(";\n"):
                if each.strip():
                    connection.exec_driver_sql(each.replace("%", "%%"))
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET search_path = public, skew, pg_catalog")

    def set(self, seconds: float) -> None:
        with self.database.writing() as session:
            session.execute(sa.text("UPDATE skew.jump SET seconds = :s"), {"s": seconds})

    def has_begun(self, job_id: str) -> bool:
        with self.database.reading() as session:
            return session.get_one(Job, job_id).epochs_completed > 0

    def fence(self, job_id: str) -> int:
        with self.database.reading() as session:
            return session.get_one(Job, job_id).fence


@pytest.fixture(scope="module")
def skewed(postgres: Postgres) -> Iterator[Skewed]:
    skewed = Skewed(postgres.new_database())
    yield skewed
    skewed.database.close()


@pytest.fixture(scope="module")
def server(skewed: Skewed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = skewed.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    server = Server(tmp_path_factory.mktemp("server") / "data", url, 2, lease_seconds=4, snapshot_seconds=0.1)
    yield server.start()
    server.close()


def jumps(server: Server, skewed: Skewed, count: int) -> None:
    chance = random.Random(SEED)
    client = server.client()
    data = upload(client, ROWS)
    body = {"dataset_id": data["id"], "target": "y", "training": TRAINING}
    control = control_of(server, finished(client, submit(client, **body)["id"])["id"])
    controls, moves, kills = {}, 0, 0
    for turn in range(count):
        job = submit(client, **body)
        until(partial(skewed.has_begun, job["id"]), 20)
        skewed.set(chance.choice([HOUR, -HOUR, DAY, -DAY, -10 * 365 * DAY, 300, -300]))
        if turn % 2:  # and a worker dies at the same time
            kill(*server.processes().supervisors)
            kills += 1
        done = finished(client, job["id"])
        assert done["created_at"] <= done["started_at"] <= done["finished_at"]
        controls[job["id"]] = control
        moves += skewed.fence(job["id"]) - 1
    print(f"seed {SEED}: {count} jumps of the clock, {kills} kills, {moves} times a job has moved")
    assert moves <= kills  # a worker does not take from itself
    until(lambda: client.get("/readyz?workers=1").status_code == 200, 20)
    seen = [each["seen_seconds_ago"] for each in made(client.get("/v1/workers"), 200)["data"]]
    assert all(0.0 <= each < 15.0 for each in seen)
    settle(server)
    check(server, controls=controls)


def test_a_clock_that_jumps_moves_a_job_at_worst(server: Server, skewed: Skewed) -> None:
    jumps(server, skewed, JUMPS)


def test_a_dead_workers_job_is_not_frozen_by_a_clock_that_is_put_back(server: Server, skewed: Skewed) -> None:
    """Its host is gone, so that nobody frees it: only the end of its lease does, now an hour away."""
    client = server.client()
    data = upload(client, ROWS)
    skewed.set(0)
    job = submit(client, dataset_id=data["id"], target="y", training=TRAINING)
    until(partial(skewed.has_begun, job["id"]), 20)
    with skewed.database.writing() as session:
        away = {
            "worker_id": "wrk_of_another_host",
            "fence": Job.fence + 1,
            "lease_until": Job.lease_until + 4,
        }
        session.execute(sa.update(Job).where(Job.id == job["id"]).values(away))
    skewed.set(-HOUR)
    assert finished(client, job["id"], 30)["status"] == "succeeded"
