"""Many processes on one SQLite file, and power cuts that tear its write-ahead log."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from app.storage.database import Database
from app.storage.tables import Epoch, Job
from tests.support.crowd import Taken, percentile
from tests.support.rows import add_job, job_row
from tests.support.server import Server, until
from tests.support.training import LINE, made, submit, upload

SECONDS = float(os.environ.get("CHAINRULE_TEST_SECONDS", "1.5"))
IMAGES = int(os.environ.get("CHAINRULE_TEST_IMAGES", "5"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(time.time_ns() % 2**32)))
WRITERS, READERS = 8, 4
PATIENCE_SECONDS = 10.0


def crowd(database: Database, seconds: float) -> None:
    """Let them all work on rows of their own, which one lock guards, and look at what each has met."""
    jobs = [add_job(database) for _ in range(WRITERS)]
    parts = [("write", job) for job in jobs] + [("read", "")] * READERS
    command = [sys.executable, "-m", "tests.support.crowd", str(database.url)]
    root = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": root}
    running = [subprocess.Popen([*command, what, str(seconds), job], **pipes) for what, job in parts]  # type: ignore[call-overload]
    for each in running:
        assert each.stdout.readline() == b"ready\n"
    for each in running:
        each.stdin.write(b"begin\n")
        each.stdin.flush()
    taken = [Taken(**json.loads(each.communicate(timeout=seconds + 120)[0])) for each in running]
    writers = taken[:WRITERS]
    times = [each for one in writers for each in one.seconds]
    print(f"{WRITERS} writers, {READERS} readers, {seconds} s: {len(times)} writes, p50 "
          f"{percentile(times, 0.5) * 1000:.1f}, p99 {percentile(times, 0.99) * 1000:.1f}, slowest "
          f"{max(times) * 1000:.0f} ms; a writer did {min(len(each.seconds) for each in writers)} to "
          f"{max(len(each.seconds) for each in writers)}")  # fmt: skip
    assert [error for each in taken for error in each.errors] == []
    assert [each.wrong for each in taken] == [0] * len(parts)
    assert [job_row(database, job).priority for job in jobs] == [len(each.seconds) for each in writers]
    assert max(times) < PATIENCE_SECONDS
    counts = [len(each.seconds) for each in writers]
    assert max(counts) < 8 * min(counts) + 8, "some had to wait until others wanted nothing more"


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Database:
    path = tmp_path / "chainrule.sqlite"
    path.write_bytes(migrated_sqlite.read_bytes())
    return Database(f"sqlite:///{path}", 4)


def test_eight_writers_never_find_it_locked(database: Database) -> None:
    crowd(database, SECONDS)
    database.close()


@pytest.mark.slow
def test_eight_writers_never_find_it_locked_for_long(database: Database) -> None:
    crowd(database, max(60.0, SECONDS))
    database.close()


class Image(NamedTuple):
    """A database and its log as they were at one moment; ``told`` epochs were known to a client by then."""

    file: bytes
    log: bytes
    told: int


def image_of(database: Database, told: Callable[[], int]) -> Image:
    """Taken while others write. Our open view keeps the log from being begun anew between the two parts."""
    assert database.path is not None
    with database.reading() as session:
        session.scalar(sa.select(Job.id))
        seen = told()
        file = database.path.read_bytes()
        return Image(file, Path(f"{database.path}-wal").read_bytes(), seen)


def commits(log: bytes) -> list[int]:
    """Where each commit of a log ends: sqlite.org/fileformat2.html#walformat."""
    size = int.from_bytes(log[8:12], "big") + 24
    ends = []
    for start in range(32, len(log) - size + 1, size):
        frame = log[start : start + 24]
        if frame[8:16] != log[16:24]:  # of the log before this one
            break
        if any(frame[4:8]):
            ends.append(start + size)
    return ends


def torn(log: bytes, kept: int, chance: random.Random) -> bytes:
    """The log after a power cut: whole up to ``kept``, and behind that cut off or only partly written."""
    if chance.random() < 0.5:
        return log[:kept]
    content = bytearray(log)
    for start in range(kept, len(log), 512):  # sectors reach a disk in any order
        if start == kept or chance.random() < 0.7:
            content[start : start + 512] = chance.randbytes(len(content[start : start + 512]))
    return bytes(content)


def epochs_in(file: bytes, log: bytes, directory: Path, job_id: str) -> int:
    """Open the database, see that it is sound and that the job's history has no gap; its length."""
    directory.mkdir()
    path = directory / "torn.sqlite"
    path.write_bytes(file)
    Path(f"{path}-wal").write_bytes(log)
    database = Database(f"sqlite:///{path}", 1)
    with database.reading() as session:
        assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
        assert session.execute(sa.text("PRAGMA foreign_key_check")).all() == []
        found = sa.select(Epoch.epoch).where(Epoch.job_id == job_id).order_by(Epoch.epoch)
        epochs = list(session.scalars(found))
        job = session.get(Job, job_id)
        assert (0 if job is None else job.epochs_completed) == len(epochs)
    database.close()
    shutil.rmtree(directory)
    assert epochs == list(range(1, len(epochs) + 1))
    return len(epochs)


def power_cuts(directory: Path, count: int) -> None:
    chance = random.Random(SEED)
    server = Server(directory / "data", None, 1, snapshot_seconds=0.1)
    images = []
    try:
        client = server.start().client()
        data = upload(client, LINE)
        with server.database() as database, database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")  # outside of a transaction
            connection.exec_driver_sql("PRAGMA wal_checkpoint")  # else the tables are in the log, too
        training = {"epochs": 1_000_000, "batch_size": 16, "early_stopping": None}
        job = submit(client, dataset_id=data["id"], target="y", training=training)

        def told() -> int:
            epochs: int = made(client.get(f"/v1/jobs/{job['id']}"), 200)["progress"]["completed"]
            return epochs

        until(told, 20)
        with server.database() as database:
            for _ in range(count):
                time.sleep(chance.uniform(0.0, 0.1))
                images.append(image_of(database, told))
    finally:
        server.close()
    lost = 0
    for number, image in enumerate(images):
        ends = commits(image.log)
        whole = epochs_in(image.file, image.log, directory / "whole", job["id"])
        assert whole >= image.told, f"seed {SEED}, image {number}: epochs that were told are gone"
        kept = chance.randint(0, max(ends))
        clean = max([end for end in ends if end <= kept], default=0)
        expected = epochs_in(image.file, image.log[:clean], directory / "clean", job["id"])
        log = torn(image.log, kept, chance)
        found = epochs_in(image.file, log, directory / "torn", job["id"])
        assert found == expected, f"seed {SEED}, image {number}: torn at {kept} of {len(image.log)}"
        lost += found < whole
    print(f"seed {SEED}: {count} images, {lost} of them torn where epochs were")


def test_a_torn_log_keeps_every_commit_that_is_whole_in_it(tmp_path: Path) -> None:
    power_cuts(tmp_path, IMAGES)


@pytest.mark.slow
def test_many_torn_logs(tmp_path: Path) -> None:
    power_cuts(tmp_path, max(100, IMAGES))
