"""What nothing names goes, and nothing else, whoever sweeps beside us."""

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.blobs import AT_ONCE, CHUNK, IN_ROW, Blobs, Staged
from app.storage.database import Database
from app.storage.sweep import Sweep
from app.storage.tables import Blob, BlobChunk, Job
from tests.support.rows import add_job, another_process


@pytest.fixture
def sweep(blobs: Blobs) -> Sweep:
    return Sweep(blobs)


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def attach(database: Database, blobs: Blobs, *staged: Staged) -> None:
    with database.writing() as session:
        blobs.attach(session, *staged)


def named(database: Database, blobs: Blobs, data: bytes) -> str:
    staged = blobs.stage(data)
    attach(database, blobs, staged)
    add_job(database, initial_parameters=staged.sha256)
    return staged.sha256


def rows(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(sa.select(Blob.sha256)))


def chunks(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(sa.select(BlobChunk.sha256)))


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_rows_that_nothing_names_go_at_once(
    database: Database, blobs: Blobs, sweep: Sweep, size: int
) -> None:
    kept = named(database, blobs, content(size))
    attach(database, blobs, blobs.stage(content(size + 1)), blobs.stage(content(size + 2)))
    assert len(rows(database)) == 3
    assert sweep.run() == 2
    assert rows(database) == {kept}
    with database.reading() as session:
        assert blobs.read(session, kept) == content(size)
    assert chunks(database) <= {kept}
    assert sweep.run() == 0


def test_very_many_go_in_short_transactions(database: Database, blobs: Blobs, sweep: Sweep) -> None:
    staged = [blobs.stage(b"%d" % number) for number in range(2 * AT_ONCE + 3)]
    attach(database, blobs, *staged)
    with database.writing() as session:
        assert len(blobs.release(session, *(each.sha256 for each in staged))) == AT_ONCE
    assert sweep.run() == AT_ONCE + 3
    assert rows(database) == set()


def test_only_old_files_go(database: Database, blobs: Blobs, sweep: Sweep) -> None:
    if not database.is_sqlite:
        pytest.skip("Postgres has no files")
    kept = named(database, blobs, content(IN_ROW + 1))
    orphan = blobs.stage(content(IN_ROW + 2)).sha256
    fresh = blobs.stage(content(IN_ROW + 3)).sha256
    partial = blobs.path(orphan).with_name(f".{orphan}.0a1b2c3d")
    partial.write_bytes(b"half of it")
    old = time.time() - 7200
    for path in (blobs.path(kept), blobs.path(orphan), partial):
        os.utime(path, (old, old))
    assert sweep.run() == 2
    assert [blobs.path(each).exists() for each in (kept, orphan, fresh)] == [True, False, True]
    assert not partial.exists()


def test_a_file_that_is_staged_again_is_young(database: Database, blobs: Blobs, sweep: Sweep) -> None:
    if not database.is_sqlite:
        pytest.skip("Postgres has no files")
    sha256 = blobs.stage(content(IN_ROW + 1)).sha256
    os.utime(blobs.path(sha256), (1.0, 1.0))
    blobs.stage(content(IN_ROW + 1))
    assert sweep.run() == 0


def test_it_waits_for_those_who_name_what_it_would_take(
    database: Database, blobs: Blobs, sweep: Sweep
) -> None:
    staged = blobs.stage(content(IN_ROW + 1))
    if database.is_sqlite:
        os.utime(blobs.path(staged.sha256), (1.0, 1.0))
    else:
        sweep.run()
    job_id = add_job(database)
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            blobs.attach(session, staged)
            name = sa.update(Job).where(Job.id == job_id).values(initial_parameters=staged.sha256)
            session.execute(name)
            racing = pool.submit(sweep.run)
            with contextlib.suppress(TimeoutError):
                racing.result(0.3)
        assert racing.result(10) == 0
    with database.reading() as session:
        assert blobs.read(session, staged.sha256) == content(IN_ROW + 1)


def test_it_spares_a_file_that_is_staged_again_behind_its_look(
    database: Database, blobs: Blobs, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite:
        pytest.skip("Postgres has no files")
    staged = blobs.stage(content(IN_ROW + 1))
    os.utime(blobs.path(staged.sha256), (1.0, 1.0))
    look = database.reading

    @contextlib.contextmanager
    def look_and_stage() -> Iterator[Session]:
        with look() as session:
            yield session
        blobs.stage(content(IN_ROW + 1))

    monkeypatch.setattr(database, "reading", look_and_stage)
    assert sweep.run() == 0
    assert blobs.path(staged.sha256).exists()


def test_chunks_go_when_two_runs_saw_no_name(database: Database, blobs: Blobs, sweep: Sweep) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has files")
    kept = named(database, blobs, content(IN_ROW + 1))
    blobs.stage(content(CHUNK + 1))
    late = blobs.stage(content(IN_ROW + 2))
    assert sweep.run() == 0
    attach(database, blobs, late)
    add_job(database, initial_parameters=late.sha256)
    fresh = blobs.stage(content(IN_ROW + 3))
    assert sweep.run() == 1
    assert chunks(database) == {kept, late.sha256, fresh.sha256}
    assert [sweep.run(), sweep.run()] == [1, 0]


def test_each_process_goes_by_what_it_has_seen_itself(database: Database, blobs: Blobs, sweep: Sweep) -> None:
    """Two that sweep in turn see what was just staged twice between them: that is not twice for one."""
    if database.is_sqlite:
        pytest.skip("SQLite has files")
    with another_process(database) as other:
        beside = Sweep(Blobs(other, blobs.directory))
        staged = blobs.stage(content(CHUNK + 1))
        assert [sweep.run(), beside.run()] == [0, 0]
        assert chunks(database) == {staged.sha256}
        assert [beside.run(), sweep.run()] == [1, 0]
        attach(database, blobs, staged)
        add_job(database, initial_parameters=staged.sha256)
        assert [sweep.run(), beside.run(), sweep.run()] == [0, 0, 0]
    with database.reading() as session:
        assert blobs.read(session, staged.sha256) == content(CHUNK + 1)


@pytest.mark.parametrize("size", [10, IN_ROW + 1])
def test_two_that_sweep_at_once_take_each_once(
    database: Database, blobs: Blobs, sweep: Sweep, size: int
) -> None:
    attach(database, blobs, *(blobs.stage(content(size + number)) for number in range(20)))
    with another_process(database) as other, ThreadPoolExecutor(2) as pool:
        beside = Sweep(Blobs(other, blobs.directory))
        both = [pool.submit(each.run) for each in (sweep, beside)]
        assert sum(each.result(20) for each in both) == 20
    assert rows(database) == set()
