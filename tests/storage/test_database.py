"""Transactions: whole or not at all, one writer at a time, and patience while the database is away."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from app.storage.changes import Changes
from app.storage.columns import clock, new_id, now, to_json
from app.storage.database import Database
from app.storage.tables import Job, Project
from tests.support.rows import add_job, another_process, job_row


def add(session: Session, name: str) -> None:
    session.add(Project(id=new_id("proj"), name=name, created_at=now()))
    session.flush()


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(sa.select(Project.name)))


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    with database.writing() as session:
        add(session, "kept")

    def clash(session: Session) -> None:
        add(session, "lost")
        add(session, "kept")

    with pytest.raises(IntegrityError), database.writing() as session:
        clash(session)
    assert names(database) == ["kept"]


def test_reading_writes_nothing(database: Database) -> None:
    with database.reading() as session:
        add(session, "lost")
    assert names(database) == []


def test_what_was_read_may_be_written_by_many_at_once(database: Database) -> None:
    """A transaction that reads, then writes, must not fail because another has committed in between."""
    job_id = add_job(database)

    def count() -> None:
        with another_process(database) as own:
            for _ in range(10):
                with own.writing() as session:
                    read = session.get_one(Job, job_id, with_for_update=True).priority
                    session.execute(sa.update(Job).values(priority=read + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert job_row(database, job_id).priority == 40


def test_patience_runs_the_unit_again(database: Database) -> None:
    calls: list[int] = []

    def unit(session: Session) -> str:
        calls.append(len(calls))
        add(session, "once")
        if len(calls) < 3:
            raise OperationalError("away", None, Exception())
        return "done"

    assert database.patiently(unit, 5.0) == "done"
    assert (len(calls), names(database)) == (3, ["once"])


def test_patience_ends(database: Database) -> None:
    def unit(_: Session) -> None:
        raise OperationalError("away", None, Exception())

    with pytest.raises(OperationalError):
        database.patiently(unit, 0.01)


def test_an_announcement_nudges_after_the_commit(database: Database) -> None:
    seen: list[list[str]] = []
    database.nudge = lambda: seen.append(names(database))
    with database.writing() as session:
        add(session, "a")
    with database.writing() as session:
        add(session, "b")
        database.announce(session)
    assert seen == ([["a", "b"]] if database.is_sqlite else seen)


def test_times_keep_their_moment(database: Database) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, timezone(timedelta(hours=2)))
    job_id = add_job(database, started_at=moment)
    read = job_row(database, job_id).started_at
    assert read == moment
    assert read is not None
    assert read.tzinfo is UTC


def test_floats_keep_their_bits(database: Database) -> None:
    for number in (0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -2.5):
        job_id = add_job(database, lease_until=number)
        assert repr(job_row(database, job_id).lease_until) == repr(number)


def test_json_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"cost": float("nan")})
    assert to_json({"a": [1.5, "é"]}) == '{"a":[1.5,"é"]}'


def test_the_clock_is_the_databases(database: Database) -> None:
    with database.reading() as session:
        first = session.scalar(sa.select(clock())) or 0.0
    assert abs(first - datetime.now(UTC).timestamp()) < 2.0


def test_ids_sort_by_time_and_never_repeat() -> None:
    ids = [new_id("job") for _ in range(500)]
    assert len(set(ids)) == len(ids)
    moments = [each[:14] for each in ids]
    assert moments == sorted(moments)
    assert all(each.startswith("job_") and len(each) == 28 for each in ids)


def test_to_connect_is_no_commit(database: Database) -> None:
    """Others would take it for a change, and it would wait for the disk."""
    if not database.is_sqlite:
        pytest.skip("SQLite's own")
    changes = Changes(database)
    assert changes.poll()
    with another_process(database) as other, other.reading() as session:
        session.scalars(sa.select(Job.id)).all()
    assert not changes.poll()
    changes.close()
