"""When a job may end: by its epochs' own seconds, whatever lay between them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.jobs import forecast, line, queue
from app.storage.database import Database
from app.storage.tables import Epoch, Job
from tests.jobs.test_workers import add_worker
from tests.support.rows import TRAINING, add_job, epoch

AT = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
"""When the last epochs were written."""


def add_trained(database: Database, done: int, seconds: float, **training: Any) -> str:
    """A job that has so many epochs of 100, and waited for years between the first two."""
    times: dict[str, Any] = {"progress_at": AT, "started_at": AT - timedelta(days=700)}
    job_id = add_job(database, training=TRAINING | training, epochs_completed=done, **times)
    rows = [epoch(job_id, number) | {"seconds": seconds} for number in range(1, done + 1)]
    with database.writing() as session:
        session.execute(sa.insert(Epoch), rows)
    return job_id


def finish(database: Database, job_id: str) -> datetime | None:
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        return forecast.finish(session, job, line.position(session, job, None))


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_a_running_job_goes_on_as_its_last_epochs(database: Database) -> None:
    new = add_job(database)
    job_id = add_trained(database, 40, 0.5)
    queue.claim(database, "wrk_a", 2, 10.0)
    assert finish(database, job_id) == after(60 * 0.5)
    assert finish(database, new) is None


def test_a_time_budget_ends_it_earlier(database: Database) -> None:
    budget = [40.0, 100.0, 15.0]
    jobs = [add_trained(database, 40, 0.5, time_budget_seconds=each) for each in budget]
    queue.claim(database, "wrk_a", 3, 10.0)
    assert [finish(database, each) for each in jobs] == [after(20), after(30), after(0)]


def test_ten_million_epochs_of_a_day_have_an_end(database: Database) -> None:
    job_id = add_trained(database, 1, 86400.0, epochs=10_000_000)
    queue.claim(database, "wrk_a", 1, 10.0)
    assert finish(database, job_id) == AT + timedelta(days=3650)


def test_one_that_waits_begins_when_enough_of_the_running_have_ended(database: Database) -> None:
    add_worker(database, "wrk_a", slots=2)
    running = [add_trained(database, 10, each) for each in (1.0, 2.0)]
    queue.claim(database, "wrk_a", 2, 10.0)
    first, second = add_trained(database, 50, 1.0), add_trained(database, 50, 3.0)
    third, new = add_trained(database, 50, 1.0), add_job(database, priority=-1)
    assert [finish(database, each) for each in running] == [after(90), after(180)]
    assert finish(database, first) == after(90 + 50)
    assert finish(database, second) == after(180 + 150)
    assert finish(database, third) is None  # nobody knows how long those before it take
    assert finish(database, new) is None
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == running[0]).values(status="succeeded"))
    assert finish(database, first) is None  # a worker is free for it
    assert finish(database, second) == after(180 + 150)
