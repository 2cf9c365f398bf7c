"""Postgres restarts, and a network that fails, under jobs and clients: nothing fails, nothing is lost."""

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Job
from tests.support.checker import check, control_of, settle
from tests.support.load import Load, clients
from tests.support.postgres import Postgres
from tests.support.promises import Control
from tests.support.proxy import Proxy, Where
from tests.support.server import Server, alive, until
from tests.support.training import Json, finished, log_of, made, submit, upload

RESTARTS = int(os.environ.get("CHAINRULE_TEST_RESTARTS", "1"))
FAULTS = int(os.environ.get("CHAINRULE_TEST_FAULTS", "40"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(time.time_ns() % 2**32)))
LEASE = 4.0
ROWS = "a,b,y\n" + "".join(f"{i % 17},{i % 13},{(i % 17) * (i % 7)}\n" for i in range(1500))
TRAINING = {"epochs": 25, "batch_size": 4, "early_stopping": None}
ENDLESS = {"epochs": 1_000_000, "batch_size": "full", "early_stopping": None}


class House(NamedTuple):
    """A server behind a proxy, in front of a Postgres that is nobody else's; ``url`` goes past the proxy."""

    postgres: Postgres
    url: str
    proxy: Proxy
    server: Server
    body: Json
    control: Control


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    postgres = Postgres()
    url = postgres.new_database()
    proxy = Proxy(url)
    server = Server(
        tmp_path_factory.mktemp("server") / "data", proxy.url, 2, lease_seconds=LEASE, snapshot_seconds=0.1
    )
    server.database_url = url
    server.start()
    data = upload(server.client(), ROWS)
    body = {"dataset_id": data["id"], "target": "y", "training": TRAINING}
    job = finished(server.client(), submit(server.client(), **body)["id"])
    assert job["status"] == "succeeded", job["error"]
    yield House(postgres, url, proxy, server, body, control_of(server, job["id"]))
    proxy.heal()
    server.close()
    proxy.close()
    postgres.stop()


@pytest.fixture(autouse=True)
def healed(house: House) -> Iterator[None]:
    yield
    house.proxy.heal()
    until(lambda: _answers(house.server.client()), 30)


def _answers(client: httpx.Client) -> bool:
    return client.get("/v1/jobs").status_code == 200


def _report(what: str, load: Load) -> None:
    print(f"seed {SEED}, {what}: {len(load.jobs)} jobs, {load.recorder.answers} answers, {load.refused} of "
          f"them 503, the slowest after {load.slowest:.1f} s")  # fmt: skip


def _whole(house: House, load: Load) -> None:
    settle(house.server, 60)
    check(house.server, load.recorder, load.controls(house.control))


def restarts(house: House, count: int) -> None:
    chance = random.Random(SEED)
    load = Load(house.server, house.body)
    with clients(load, 4, SEED):
        for _ in range(count):
            time.sleep(chance.uniform(0.5, 1.5))
            house.postgres.stop_at_once()
            time.sleep(chance.uniform(0.0, 1.0))
            house.postgres.start_again()
    _report(f"{count} restarts of Postgres", load)
    _whole(house, load)


def test_a_restart_of_postgres_fails_nothing(house: House) -> None:
    restarts(house, RESTARTS)


@pytest.mark.slow
def test_many_restarts_of_postgres(house: House) -> None:
    restarts(house, max(5, RESTARTS))


STATEMENTS = (
    *("INSERT INTO jobs", "INSERT INTO epochs", "INSERT INTO snapshots", "INSERT INTO events"),
    *("INSERT INTO models", "UPDATE jobs SET status", "UPDATE workers", "DELETE FROM workers"),
)


def _silence(proxy: Proxy, chance: random.Random) -> None:
    proxy.swallow()
    time.sleep(chance.uniform(0.2, 1.2 * LEASE))


def _sluggishness(proxy: Proxy, chance: random.Random) -> None:
    proxy.delay = chance.uniform(0.001, 0.02)
    time.sleep(chance.uniform(0.2, 1.0))


def _trickle(proxy: Proxy, chance: random.Random) -> None:
    proxy.bytes_at_once, proxy.delay = 100, 0.001
    time.sleep(chance.uniform(0.2, 1.0))


def _reset(proxy: Proxy, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 3)):
        proxy.reset()
        time.sleep(chance.uniform(0.0, 0.2))


def _cut(proxy: Proxy, chance: random.Random) -> None:
    where: list[Where] = ["before", "after"]
    proxy.cut_commit(chance.choice(where), chance.choice(STATEMENTS), chance.randint(1, 3))
    time.sleep(chance.uniform(0.2, 1.0))


KINDS: tuple[Callable[[Proxy, random.Random], None], ...] = (_silence, _sluggishness, _trickle, _reset, _cut)


def faults(house: House, count: int) -> None:
    chance = random.Random(SEED)
    load = Load(house.server, house.body)
    before = house.proxy.cuts
    with clients(load, 4, SEED):
        for _ in range(count):
            time.sleep(chance.uniform(0.0, 0.5))
            chance.choice([*KINDS, _cut, _cut])(house.proxy, chance)
            house.proxy.heal()
    _report(f"{count} faults of the network, {house.proxy.cuts - before} cut COMMITs", load)
    _whole(house, load)


@pytest.mark.slow
def test_a_network_that_fails_breaks_nothing(house: House) -> None:
    faults(house, FAULTS)


CUT_HERE = ("INSERT INTO epochs", "INSERT INTO models", "UPDATE jobs SET status")


@pytest.mark.parametrize(
    ("where", "statement"),
    [
        ("after", "INSERT INTO epochs"),
        *(pytest.param("after", each, marks=pytest.mark.slow) for each in CUT_HERE[1:]),
        *(pytest.param("before", each, marks=pytest.mark.slow) for each in CUT_HERE),
    ],
)
def test_a_cut_commit_of_a_worker_changes_nothing(house: House, where: Where, statement: str) -> None:
    """Of epochs and a snapshot, of the end with its model, and of the claim."""
    client = house.server.client()
    before = house.proxy.cuts
    house.proxy.cut_commit(where, statement, 2)
    job = finished(client, submit(client, **house.body)["id"])
    assert house.proxy.cuts > before
    house.proxy.heal()
    settle(house.server)
    types = [each["type"] for each in log_of(client, job["id"])]
    assert "job.warning" not in types, "it had to wait for the end of a lease that nobody knew of"
    check(house.server, controls={job["id"]: house.control})


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_cut_commit_of_a_creation_creates_once(house: House, where: Where) -> None:
    client = house.server.client()
    body = {**house.body, "name": f"cut {where} {SEED}", "training": {"epochs": 1}}
    headers = {"Idempotency-Key": str(body["name"])}
    house.proxy.cut_commit(where, "INSERT INTO jobs")
    first = client.post("/v1/jobs", json=body, headers=headers)
    assert (first.status_code, first.headers["Retry-After"]) == (503, "1")
    second = client.post("/v1/jobs", json=body, headers=headers)
    assert ("idempotency-replayed" in second.headers) == (where == "after")
    made(second, 202)
    listed = made(client.get("/v1/jobs", params={"name": body["name"]}), 200)["data"]
    assert [each["id"] for each in listed] == [second.json()["id"]]
    finished(client, second.json()["id"])


@pytest.mark.slow
def test_while_the_database_is_silent_every_request_is_told_so_in_time(house: House) -> None:
    client = house.server.client()
    house.proxy.swallow()
    for path in ("/v1/jobs", "/readyz", "/v1/workers", "/v1/jobs/job_nothing"):
        start = time.monotonic()
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert time.monotonic() - start < 9.0, path  # 5 s, on a busy host
    assert client.get("/livez").status_code == 200
    house.proxy.heal()
    start = time.monotonic()
    until(lambda: _answers(client), 10)
    assert time.monotonic() - start < 5.0


def _is_held(database: Database, job_id: str) -> bool:
    """Whether the job's lease still runs."""
    with database.reading() as session:
        left = session.scalar(sa.select(Job.lease_until - clock()).where(Job.id == job_id))
        return left is not None and left > 0.0


@pytest.mark.slow
def test_a_worker_that_is_cut_off_stops_before_its_lease_ends(house: House) -> None:
    client = house.server.client()
    job = submit(client, **{**house.body, "training": ENDLESS})
    with house.server.database() as database:

        def row() -> Job:
            with database.reading() as session:
                return session.get_one(Job, job["id"])

        until(lambda: row().epochs_completed > 0, 20)
        trainers = house.server.processes().trainers
        house.proxy.swallow()
        until(lambda: not all(alive(each) for each in trainers), 2 * LEASE)
        assert _is_held(database, job["id"]), "it was killed when another could have had its job already"
        house.proxy.heal()
        until(lambda: row().fence > 1 and row().status == "running", 30)
        assert row().crashes == 0  # it is not the job's fault
    until(lambda: client.post(f"/v1/jobs/{job['id']}/cancel").status_code in (200, 202), 10)
    finished(client, job["id"])
    settle(house.server)
    check(house.server)
