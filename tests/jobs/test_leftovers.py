"""Deleting a job with a long history: at once for who looks, and without keeping others waiting."""

import threading
import time

import pytest
import sqlalchemy as sa

from app.errors import NotFound
from app.jobs import leftovers, service
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Epoch, Event, Job, Project
from tests.support.rows import add_job, principal

MANY = 200_000
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) "
    "INSERT INTO epochs (job_id, epoch, cost, metrics, learning_rate, seconds, diverged) "
    "SELECT :job, i, 0.5, {empty}, 0.1, 0.01, false FROM n"
)


def ended(database: Database, epochs: int) -> str:
    job = add_job(database, status="succeeded", finished_at=now(), epochs_completed=epochs)
    with database.writing() as session:
        empty = "'{}'" if database.is_sqlite else "'{}'::json"
        session.execute(sa.text(FILL.format(many=epochs, empty=empty)), {"job": job})
    return job


def rows_of(database: Database, job: str) -> int:
    with database.reading() as session:
        return sum(
            session.scalar(sa.select(sa.func.count()).where(table.job_id == job)) or 0
            for table in (Epoch, Event)
        )


def test_nobody_waits_for_a_long_history(database: Database, blobs: Blobs) -> None:
    job, other = ended(database, MANY), ended(database, 3)
    waits, over = [0.0], threading.Event()

    def write() -> None:
        while not over.is_set():
            began = time.monotonic()
            with database.writing() as session:
                session.execute(sa.update(Project).values(max_running=len(waits)))
            waits.append(time.monotonic() - began)
            time.sleep(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    owner = principal(database)
    try:
        began = time.monotonic()
        with database.writing() as session:
            service.delete(session, blobs, owner, job)
        took = time.monotonic() - began
        with database.reading() as session:
            assert session.get(Job, job) is None
            with pytest.raises(NotFound):
                service.get(session, owner, job)
        left = rows_of(database, job)
        swept = leftovers.sweep(database)
    finally:
        over.set()
        writer.join()
    assert 0 < left < MANY
    assert swept == left
    assert took < 0.5
    assert max(waits) < 0.5
    assert rows_of(database, job) == 0
    assert rows_of(database, other) == 4
    assert leftovers.sweep(database) == 0


def test_a_short_history_goes_with_its_job(database: Database, blobs: Blobs) -> None:
    job, owner = ended(database, 1_000), principal(database)
    with database.writing() as session:
        service.delete(session, blobs, owner, job)
    assert rows_of(database, job) == 0
