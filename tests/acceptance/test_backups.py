"""Backups by the command line: of a server at work, killed at any moment, and restored on another host."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from app.backups import archive, flow
from app.backups.rows import Tally
from app.backups.seen import Seen
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.view import view
from tests.support.killing import moments
from tests.support.postgres import Postgres
from tests.support.promises import in_database
from tests.support.server import COMMAND, Server, until
from tests.support.training import LINE, assert_whole, finished, made, submit, train, upload

TRIES = int(os.environ.get("CHAINRULE_TEST_BACKUPS", "2"))
JOBS = int(os.environ.get("CHAINRULE_TEST_JOBS", "60"))
KILLS = int(os.environ.get("CHAINRULE_TEST_BACKUP_KILLS", "6"))
EPOCHS = 3000
MOST_SECONDS = 2.0
"""That a write may wait for a backup: a promise of one, and a machine that does much else."""


def place_of(server: Server) -> list[str]:
    place = ["--data-dir", str(server.data_dir)]
    return place if server.database_url is None else [*place, "--database-url", server.database_url]


def run(*command: str | Path, code: int = 0) -> str:
    done = subprocess.run([COMMAND, *command], capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout + done.stderr


@contextmanager
def elsewhere(directory: Path, url: str | None, key: str) -> Iterator[Server]:
    """A server on data that are there already, with the key of the server that they come from."""
    server = Server(directory, url, workers=2, lease_seconds=5)
    directory.mkdir(exist_ok=True)
    (directory / "admin.key").write_text(key)
    try:
        yield server.start()
    finally:
        server.close()


def other_kind(backend: str, request: pytest.FixtureRequest) -> str | None:
    if backend == "postgres":
        return None
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


def begin(server: Server) -> str:
    """A job that has trained for a while, and has more to do."""
    client = server.client()
    asked = {"dataset_id": upload(client, LINE)["id"], "target": "y"}
    network = {"layers": [{"units": 64, "activation": "tanh"}] * 2}
    training = {"epochs": EPOCHS, "early_stopping": None, "batch_size": 1}
    job: str = submit(client, **asked, architecture=network, training=training)["id"]
    path = f"/v1/jobs/{job}"
    until(lambda: client.get(path).json()["progress"]["completed"] > 0, 30)
    return job


def hash_of(server: Server, job: str) -> str:
    client = server.client()
    done = finished(client, job)
    assert done["status"] == "succeeded", done["error"]
    assert_whole(client, done)
    sha256: str = made(client.get(f"/v1/models/{done['model_id']}"), 200)["sha256"]
    return sha256


def test_a_job_in_a_backup_goes_on_elsewhere_to_the_same_bits(
    server: Server, backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """And in the other kind of database."""
    if backend == "postgres":
        pytest.skip("from there to SQLite is what the slow test does")
    job = begin(server)
    said = run("backup", tmp_path / "backup.tar", *place_of(server))
    assert "backup.tar has" in said
    assert server.client().get(f"/v1/jobs/{job}").json()["status"] == "running"
    url, there = other_kind(backend, request), tmp_path / "there"
    place = ["--data-dir", str(there)] + ([] if url is None else ["--database-url", url])
    assert "Restored and verified" in run("restore", tmp_path / "backup.tar", *place)
    with elsewhere(there, url, server.admin_key) as other:
        assert hash_of(other, job) == hash_of(server, job)
        with other.database() as database:
            lines = [line for line in in_database(database, Blobs(database, there / "blobs")) if job in line]
            assert lines == []


@pytest.mark.slow
def test_backups_at_any_moment_come_to_the_same_bits(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(workers=2, snapshot_seconds=0.1)
    control = hash_of(server, begin(server))
    for number in range(TRIES):
        job = begin(server)
        time.sleep(random.uniform(0.0, 1.0))
        file, there = tmp_path / f"{number}.tar", tmp_path / f"there{number}"
        with ThreadPoolExecutor(1) as pool:
            backup = pool.submit(run, "backup", file, *place_of(server))
            assert longest_write(server, job, backup) < MOST_SECONDS
        run("restore", file, "--data-dir", str(there))
        with elsewhere(there, None, server.admin_key) as other:
            assert hash_of(other, job) == control
        assert hash_of(server, job) == control
        shutil.rmtree(there)
        file.unlink()


@pytest.mark.slow
def test_many_jobs_move_to_the_other_kind(
    new_server: Callable[..., Server], backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = new_server(workers=2)
    client = server.client()
    dataset = upload(client, LINE)["id"]
    asked = {"dataset_id": dataset, "target": "y"}
    jobs = [
        submit(client, **asked, training={"epochs": 3, "early_stopping": None, "seed": seed})["id"]
        for seed in range(JOBS)
    ]
    hashes = {job: hash_of(server, job) for job in jobs}
    url, there = other_kind(backend, request), tmp_path / "there"
    source = server.database_url or f"sqlite:///{server.data_dir / 'chainrule.sqlite'}"
    start = time.monotonic()
    said = run("copy", "--from", source, "--to", url or f"sqlite:///{there / 'chainrule.sqlite'}")
    print(f"{JOBS} jobs copied in {time.monotonic() - start:.1f} s: {said}")
    assert train(client, **asked, training={"epochs": 3})["status"] == "succeeded"
    with elsewhere(there, url, server.admin_key) as other:
        assert {job: hash_of(other, job) for job in jobs} == hashes
        assert train(other.client(), **asked, training={"epochs": 3})["status"] == "succeeded"
        with other.database() as database:
            assert [*in_database(database, Blobs(database, there / "blobs"))] == []


def longest_write(server: Server, job: str, until_done: Future[Any]) -> float:
    """Seconds, of all that were sent until something else is done."""
    longest, client = 0.0, server.client()
    while not until_done.done():
        start = time.monotonic()
        made(client.patch(f"/v1/jobs/{job}", json={"name": str(start)}), 200)
        longest = max(longest, time.monotonic() - start)
    until_done.result()
    print(f"a write took {longest:.3f} s at most while a backup was made")
    return longest


def is_whole(file: Path) -> bool:
    with file.open("rb") as opened:
        reader = archive.Reader(opened)
        reader.finish(flow.pour(reader, None, lambda *_: None))
    return True


@pytest.mark.slow
def test_killed_at_any_moment_there_is_all_of_it_or_nothing(
    new_server: Callable[..., Server], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = new_server(workers=1)
    client = server.client()
    rows = "x,y\n" + "".join(f"{each / 7},{each * 3}\n" for each in range(40_000))
    train(client, dataset_id=upload(client, rows)["id"], target="y", training={"epochs": 3})
    place, file = place_of(server), tmp_path / "backup.tar"
    count = moments("backup", file, *place)
    seed = int(os.environ.get("CHAINRULE_TEST_SEED", str(random.randrange(10**6))))
    print(f"{count} moments of a backup, seed {seed}")
    chance = random.Random(seed)
    for at in [count, count - 1, count - 2, *(chance.randint(1, count) for _ in range(KILLS))]:
        file.unlink()
        moments("backup", file, *place, at=at)
        assert not file.exists() or is_whole(file)
        file.unlink(missing_ok=True)
        run("backup", file, *place)
        assert is_whole(file)
        assert [path.name for path in tmp_path.glob("*.partial")] == []
    source = server.database_url or f"sqlite:///{server.data_dir / 'chainrule.sqlite'}"
    before = tallies(source, server.data_dir / "blobs")
    for kind, verb in product(("sqlite", "postgres"), ("restore", "copy")):
        there = tmp_path / "there"

        def target(kind: str = kind, there: Path = there) -> tuple[str, list[str]]:
            shutil.rmtree(there, ignore_errors=True)
            if kind == "sqlite":
                return f"sqlite:///{there / 'chainrule.sqlite'}", ["--data-dir", str(there)]
            url = request.getfixturevalue("postgres").new_database()
            return url, ["--data-dir", str(there), "--database-url", url]

        def command(url: str, to: list[str], verb: str = verb) -> list[str]:
            return (
                ["restore", str(file), *to] if verb == "restore" else ["copy", "--from", source, "--to", url]
            )

        count = moments(*command(*target()))
        print(f"{count} moments of a {verb} into {kind}")
        for at in [count, count - 1, count - 2, *(chance.randint(1, count) for _ in range(KILLS))]:
            url, to = target()
            moments(*command(url, to), at=at)
            again = subprocess.run([COMMAND, *command(url, to)], capture_output=True, text=True)
            whole = "exists: choose another" in again.stderr or "is not empty" in again.stderr
            assert whole or again.returncode == 0, again.stderr[-3000:]
            database = Database(url, 2)
            assert [*in_database(database, Blobs(database, there / "blobs"))] == []
            database.close()
            if verb == "copy":
                assert holds(tallies(url, there / "blobs"), before)
    assert tallies(source, server.data_dir / "blobs") == before


def tallies(url: str, blobs: Path) -> dict[str, Tally]:
    """The rows of each table."""
    database = Database(url, 1)
    with view(database, blobs) as connection:
        found = flow.pour(Seen(connection, blobs), None, lambda *_: None).tables
    database.close()
    return found


def holds(there: dict[str, Tally], wanted: dict[str, Tally]) -> bool:
    """All but the log, which has one entry more."""
    return all(there[name] == tally for name, tally in wanted.items() if not name.startswith("audit"))
