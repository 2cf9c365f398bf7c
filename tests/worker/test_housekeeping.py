"""A worker keeps house by itself: there may be no server on its host."""

import os
import subprocess
from pathlib import Path

import sqlalchemy as sa

from app.storage.blobs import IN_ROW, Blobs
from app.storage.columns import new_id
from app.storage.database import Database
from app.storage.tables import Blob
from app.worker import process
from app.worker.process import ALONE
from app.worker.surroundings import Surroundings
from tests.support.rows import add_job
from tests.support.server import until


def test_a_worker_that_is_alone_takes_away_what_nothing_names(
    database: Database, blobs: Blobs, surroundings: Surroundings, tmp_path: Path
) -> None:
    named, unnamed = blobs.stage(b"named"), blobs.stage(b"x" * (IN_ROW + 1))
    with database.writing() as session:
        blobs.attach(session, named, unnamed)
    add_job(database, initial_parameters=named.sha256, status="paused")
    leftover = tmp_path / "incoming" / "half an upload"
    leftover.parent.mkdir()
    leftover.touch()
    for path in [leftover, *(each for each in [blobs.path(unnamed.sha256)] if each.exists())]:
        os.utime(path, (1.0, 1.0))

    def rows() -> set[str]:
        with database.reading() as session:
            return set(session.scalars(sa.select(Blob.sha256)))

    command = process.command(new_id("wrk"), ALONE)
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=process.environment(surroundings))
    try:
        until(lambda: rows() == {named.sha256} and not leftover.exists())
        assert not blobs.path(unnamed.sha256).exists()
    finally:
        worker.terminate()
        worker.communicate(timeout=20)
