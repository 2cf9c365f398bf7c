import errno
import logging
import os
import sqlite3
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.errors import DiskFull, Unavailable
from app.storage import disk as disks
from app.storage.database import Database
from app.storage.disk import Disk, is_full
from tests.support.small_disk import fill, free, small_disk

MIB = 2**20


@pytest.fixture
def place(tmp_path: Path) -> object:
    with small_disk(tmp_path / "small", 16 * MIB) as found:
        yield found


@pytest.mark.parametrize(("size", "reserve"), [(2**30, 256), (60 * 2**30, 614), (2**42, 1024)])
def test_the_reserve_follows_from_the_size_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, reserve: int
) -> None:
    found = list(os.statvfs(tmp_path))
    found[1:5] = [4096, size // 4096, size // 4096, size // 4096]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(found))
    assert Disk(tmp_path).reserve_bytes // MIB == reserve


def test_nothing_new_may_touch_the_reserve(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(place, 4 * MIB)
    disk.require(11 * MIB)
    with pytest.raises(DiskFull) as caught:
        disk.require(13 * MIB)
    assert caught.value.members == {"free_bytes": free(place), "needed_bytes": 17 * MIB}
    assert not disk.is_low()
    with caplog.at_level(logging.INFO, disks.__name__):
        filler = fill(place, leave=3 * MIB)
        assert disk.is_low()
        with pytest.raises(DiskFull):
            disk.require()
        filler.unlink()
        disk.require()
        assert not disk.is_low()
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]


def test_without_a_reserve_only_what_is_too_large_is_refused(place: Path) -> None:
    disk = Disk(place, 0)
    fill(place)
    disk.require()
    assert not disk.is_low()
    with pytest.raises(DiskFull):
        disk.require(1)
    disk.take_ballast()
    assert not disk.drop_ballast()


def test_the_ballast_is_room_for_when_there_is_none(place: Path) -> None:
    disk = Disk(place, 4 * MIB)
    disk.take_ballast()
    disk.take_ballast()
    assert free(place) == 15 * MIB
    filler = fill(place)
    assert free(place) == 0
    assert disk.drop_ballast()
    assert free(place) == MIB
    assert not disk.drop_ballast()
    disk.take_ballast()
    assert free(place) == MIB  # it does not come back before there is room
    filler.unlink()
    disk.take_ballast()
    assert [each.name for each in place.iterdir()] == ["ballast"]


def test_each_disk_s_word_for_full_is_known(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    assert is_full(OperationalError("", None, caught.value))
    assert is_full(OperationalError("", None, psycopg.errors.DiskFull()))
    assert is_full(OSError(errno.ENOSPC, ""))
    assert is_full(OSError(errno.EDQUOT, ""))
    assert is_full(DiskFull())
    for other in (
        OperationalError("", None, psycopg.errors.AdminShutdown()),
        OperationalError("", None, sqlite3.OperationalError("disk I/O error")),
        OSError(errno.EIO, ""),
        Unavailable(),
        ValueError(),
    ):
        assert not is_full(other)


def test_a_full_disk_is_told_as_one_by_sqlite_and_a_database_on_it_stays_sound(place: Path) -> None:
    disk = Disk(place, 4 * MIB)
    database = Database(f"sqlite:///{place / 'd.sqlite'}", 2)
    with database.writing() as session:
        session.execute(sa.text("CREATE TABLE t (x)"))
    disk.take_ballast()
    fill(place)

    def insert(size: int, *, urgent: bool) -> None:
        def unit(session: object) -> None:
            session.execute(sa.text("INSERT INTO t VALUES (zeroblob(:n))"), {"n": size})  # type: ignore[attr-defined]

        database.patiently(unit, 30.0, urgent=urgent)

    with pytest.raises(OperationalError) as caught:
        insert(MIB // 2, urgent=True)  # there is nobody to relieve it
    assert is_full(caught.value)
    database.relieve = disk.drop_ballast
    with pytest.raises(OperationalError):
        insert(MIB // 2, urgent=False)
    insert(MIB // 2, urgent=True)
    with pytest.raises(OperationalError):
        insert(4 * MIB, urgent=True)
    with database.reading() as session:
        assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
        assert session.scalar(sa.text("SELECT count(*) FROM t")) == 1
    database.close()


def test_what_deletions_left_in_sqlite_s_file_is_given_back(place: Path) -> None:
    database = Database(f"sqlite:///{place / 'd.sqlite'}", 2)
    with database.writing() as session:
        session.execute(sa.text("CREATE TABLE t (x)"))
    database.shrink()
    for _ in range(20):
        with database.writing() as session:
            session.execute(sa.text("INSERT INTO t VALUES (zeroblob(300000))"))
    with database.writing() as session:
        session.execute(sa.text("DELETE FROM t WHERE rowid > 1"))
    before = free(place)
    database.shrink()
    assert free(place) > before + 3 * MIB
    with database.reading() as session:
        assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
        assert session.scalar(sa.text("SELECT count(*) FROM t")) == 1
    database.close()
