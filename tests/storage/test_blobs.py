"""Content-addressed bytes, small and large, on both databases."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.storage.blobs import CHUNK, IN_ROW, Blobs, Staged
from app.storage.database import Database
from app.storage.sweep import Sweep
from app.storage.tables import Blob, BlobChunk, Job
from tests.support.rows import add_job

SIZES = (0, 1, IN_ROW, IN_ROW + 1, CHUNK, 2 * CHUNK + 17)


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def attached(database: Database, blobs: Blobs, data: bytes | Path) -> str:
    staged = blobs.stage(data)
    attach(database, blobs, staged)
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


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_blob_that_goes_while_it_is_read_is_not_taken_for_a_short_one(
    database: Database, blobs: Blobs, taken: int
) -> None:
    sha256 = attached(database, blobs, content(2 * CHUNK + 17))
    with database.reading() as session:
        parts = blobs.parts(session, sha256)
        for _ in range(taken):
            next(parts)
        with database.writing() as other:
            assert blobs.release(other, sha256) == [sha256]
        if database.is_sqlite or taken == 3:  # the file goes much later; or all of it is here
            list(parts)
        else:
            with pytest.raises(Unavailable, match="again"):
                list(parts)
    with database.reading() as session, pytest.raises(Unavailable, match="again"):
        blobs.read(session, sha256)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_what_is_named_is_not_released(database: Database, blobs: Blobs, size: int) -> None:
    sha256 = attached(database, blobs, content(size))
    job_id = add_job(database, initial_parameters=sha256)
    with database.writing() as session:
        blobs.release(session, sha256)
    with database.reading() as session:
        assert blobs.read(session, sha256) == content(size)
    leave(database, blobs, job_id, sha256)
    with database.reading() as session:
        assert session.get(Blob, sha256) is None
        assert chunks(session) == 0


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("size", [10, IN_ROW + 1, CHUNK + 1])
def test_bytes_that_went_between_staging_and_naming_are_written_again(
    database: Database, blobs: Blobs, tmp_path: Path, size: int, from_file: bool
) -> None:
    staged = staged_and_lost(database, blobs, content(size), tmp_path / "source", from_file)
    attach(database, blobs, staged)
    with database.reading() as session:
        assert blobs.read(session, staged.sha256) == content(size)


@pytest.mark.parametrize("left", [None, b"", b"other bytes"])
def test_bytes_that_cannot_be_written_again_are_not_named(
    database: Database, blobs: Blobs, tmp_path: Path, left: bytes | None
) -> None:
    source = tmp_path / "source"
    staged = staged_and_lost(database, blobs, content(CHUNK + 1), source, from_file=True)
    source.unlink()
    if left is not None:
        source.write_bytes(left)
    with pytest.raises(Unavailable, match="again"), database.writing() as session:
        blobs.attach(session, staged)
    with database.reading() as session:
        assert session.get(Blob, staged.sha256) is None
        assert chunks(session) == 0
    assert not blobs.path(staged.sha256).exists()


def test_a_chunk_that_is_missing_is_written_again(database: Database, blobs: Blobs) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has files")
    staged = blobs.stage(content(2 * CHUNK + 17))
    for number in range(3):
        with database.writing() as session:
            session.execute(sa.delete(BlobChunk).where(BlobChunk.number == number))
        attach(database, blobs, staged)
        with database.reading() as session:
            assert blobs.read(session, staged.sha256) == content(2 * CHUNK + 17)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_a_release_waits_for_those_who_name_the_same_bytes(
    database: Database, blobs: Blobs, size: int
) -> None:
    sha256 = attached(database, blobs, content(size))
    leaving, coming = add_job(database, initial_parameters=sha256), add_job(database)
    staged = blobs.stage(content(size))
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            blobs.attach(session, staged)
            name(session, coming, sha256)
            racing = pool.submit(leave, database, blobs, leaving, sha256)
            until_blocked(database)
        racing.result(10)
    with database.reading() as session:
        assert blobs.read(session, sha256) == content(size)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_an_attachment_waits_for_a_release_of_the_same_bytes(
    database: Database, blobs: Blobs, size: int
) -> None:
    sha256 = attached(database, blobs, content(size))
    staged = blobs.stage(content(size))
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            blobs.release(session, sha256)
            racing = pool.submit(attach, database, blobs, staged)
            until_blocked(database)
        racing.result(10)
    with database.reading() as session:
        assert blobs.read(session, sha256) == content(size)


def attach(database: Database, blobs: Blobs, staged: Staged) -> None:
    with database.writing() as session:
        blobs.attach(session, staged)


def chunks(session: Session) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(BlobChunk)) or 0


def name(session: Session, job_id: str, sha256: str | None) -> None:
    session.execute(sa.update(Job).where(Job.id == job_id).values(initial_parameters=sha256))


def leave(database: Database, blobs: Blobs, job_id: str, sha256: str) -> None:
    """Let the job name the blob no more, as its deletion does."""
    with database.writing() as session:
        name(session, job_id, None)
        blobs.release(session, sha256)


def staged_and_lost(database: Database, blobs: Blobs, data: bytes, source: Path, from_file: bool) -> Staged:
    """Stage bytes that are there already, and let the only job that names them leave."""
    sha256 = attached(database, blobs, data)
    job_id = add_job(database, initial_parameters=sha256)
    source.write_bytes(data)
    staged = blobs.stage(source if from_file else data)
    leave(database, blobs, job_id, sha256)
    if blobs.path(sha256).exists():
        os.utime(blobs.path(sha256), (1.0, 1.0))
    sweep = Sweep(blobs)
    for _ in range(2):  # chunks go when they were seen without a name twice
        sweep.run()
    return staged


def until_blocked(database: Database) -> None:
    """Until another connection waits for a lock (on SQLite it waits outside of the database)."""
    if database.is_sqlite:
        return
    waits = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(2000):
        with database.reading() as session:
            if session.scalar(waits):
                return
    raise AssertionError("nothing waits for a lock")
