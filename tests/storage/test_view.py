"""Whoever has a view sees one state, and nobody waits for them."""

import os
import sqlite3
import time

import pytest
import sqlalchemy as sa

from app.storage.blobs import IN_ROW, Blobs
from app.storage.database import Database
from app.storage.sweep import Sweep
from app.storage.tables import Job
from app.storage.view import view
from tests.support.rows import add_job

COUNT = sa.select(sa.func.count()).select_from(Job)


def test_it_stays_as_it_was_while_others_write(database: Database, blobs: Blobs) -> None:
    add_job(database)
    with view(database, blobs.directory) as connection:
        start = time.monotonic()
        add_job(database)
        assert time.monotonic() - start < 1.0
        assert connection.scalar(COUNT) == 1
    with view(database, blobs.directory) as connection:
        assert connection.scalar(COUNT) == 2


def test_no_file_goes_as_long_as_somebody_looks(database: Database, blobs: Blobs) -> None:
    if not database.is_sqlite:
        pytest.skip("Postgres has no files")
    sha256 = blobs.stage(b"x" * (IN_ROW + 1)).sha256
    os.utime(blobs.path(sha256), (1.0, 1.0))
    with view(database, blobs.directory), view(database, blobs.directory):
        assert Sweep(blobs).run() == 0
        assert blobs.path(sha256).exists()
    assert Sweep(blobs).run() == 1
    assert not blobs.path(sha256).exists()


def test_where_readers_hold_up_writers_it_is_of_a_copy(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite or database.path is None:
        pytest.skip("Postgres always reads beside writers")
    monkeypatch.setattr("app.storage.database.SAFE_WAL", (99,))
    old = Database(str(database.url))
    add_job(old)
    with sqlite3.connect(database.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    with view(old, blobs.directory) as seen:
        add_job(old)
        assert seen.scalar(COUNT) == 1
        assert len([*database.path.parent.glob(".view-*")]) == 1
    assert [*database.path.parent.glob(".view-*")] == []
    old.close()
