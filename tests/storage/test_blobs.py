"""Content-addressed bytes, small and large, on both databases."""

import hashlib
import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.storage.blobs import CHUNK, IN_ROW, Blobs
from app.storage.database import Database
from app.storage.tables import Blob, BlobChunk, Job
from tests.support.rows import add_job

SIZES = (0, 1, IN_ROW, IN_ROW + 1, CHUNK, 2 * CHUNK + 17)


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def attached(database: Database, blobs: Blobs, data: bytes | Path) -> str:
    staged = blobs.stage(data)
    with database.writing() as session:
        blobs.attach(session, staged)
    return staged.sha256


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back(
    database: Database, blobs: Blobs, tmp_path: Path, size: int, from_file: bool
) -> None:
    data = content(size)
    source = tmp_path / "source"
    source.write_bytes(data)
    sha256 = attached(database, blobs, source if from_file else data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    with database.reading() as session:
        assert session.get_one(Blob, sha256).size == size
        assert blobs.read(session, sha256) == data
        blobs.copy(session, sha256, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    assert blobs.path(sha256).exists() == (database.is_sqlite and size > IN_ROW)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_the_same_bytes_twice_are_one(database: Database, blobs: Blobs, size: int) -> None:
    first, second = attached(database, blobs, content(size)), attached(database, blobs, content(size))
    assert first == second
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Blob)) == 1
        assert blobs.read(session, first) == content(size)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_what_is_named_is_not_released(database: Database, blobs: Blobs, size: int) -> None:
    sha256 = attached(database, blobs, content(size))
    job_id = add_job(database, initial_parameters=sha256)
    with database.writing() as session:
        blobs.release(session, sha256)
    with database.reading() as session:
        assert blobs.read(session, sha256) == content(size)
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == job_id).values(initial_parameters=None))
        blobs.release(session, sha256)
    with database.reading() as session:
        assert session.get(Blob, sha256) is None
        assert session.scalar(sa.select(sa.func.count()).select_from(BlobChunk)) == 0


def test_the_sweep_takes_only_old_files_that_nothing_names(database: Database, blobs: Blobs) -> None:
    if not database.is_sqlite:
        assert blobs.sweep(0.0) == 0
        return
    named = attached(database, blobs, content(IN_ROW + 1))
    orphan = blobs.stage(content(IN_ROW + 2)).sha256
    fresh = blobs.stage(content(IN_ROW + 3)).sha256
    old = time.time() - 7200
    for sha256 in (named, orphan):
        os.utime(blobs.path(sha256), (old, old))
    assert blobs.sweep() == 1
    assert [blobs.path(each).exists() for each in (named, orphan, fresh)] == [True, False, True]


def test_a_blob_that_is_staged_again_is_young(database: Database, blobs: Blobs) -> None:
    if not database.is_sqlite:
        return
    sha256 = blobs.stage(content(IN_ROW + 1)).sha256
    os.utime(blobs.path(sha256), (1.0, 1.0))
    blobs.stage(content(IN_ROW + 1))
    assert blobs.sweep() == 0
