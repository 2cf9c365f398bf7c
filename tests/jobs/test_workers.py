"""Who is alive, on the database's clock, and what each one holds."""

import sqlalchemy as sa

from app.jobs import queue, workers
from app.storage.columns import clock, now
from app.storage.database import Database
from app.storage.tables import Worker
from tests.support.rows import add_job, principal


def add_worker(database: Database, worker_id: str, silent: float = 0.0, slots: int = 2) -> None:
    row = {"id": worker_id, "host": "h", "pid": 1, "slots": slots, "busy": 0, "draining": False}
    with database.writing() as session:
        seen = {"started_at": now(), "seen_at": clock() - silent}
        session.execute(sa.insert(Worker).values(row | seen))


def test_the_silent_are_not_listed_and_the_long_silent_forgotten(database: Database) -> None:
    for worker_id, silent in (("wrk_a", 0.0), ("wrk_b", 14.0), ("wrk_c", 16.0), ("wrk_d", 3700.0)):
        add_worker(database, worker_id, silent)
    workers.sweep(database)
    with database.reading() as session:
        assert [each["id"] for each in workers.alive(session, None)] == ["wrk_a", "wrk_b"]
        assert set(session.scalars(sa.select(Worker.id))) == {"wrk_a", "wrk_b", "wrk_c"}
        assert (workers.count(session), workers.slots(session)) == ((2, 0), 4)


def test_one_that_goes_takes_no_jobs(database: Database) -> None:
    add_worker(database, "wrk_a")
    add_worker(database, "wrk_b", slots=3)
    workers.drain(database, "wrk_a")
    with database.reading() as session:
        assert [each["state"] for each in workers.alive(session, None)] == ["draining", "active"]
        assert (workers.count(session), workers.slots(session)) == ((1, 1), 3)
    queue.heartbeat(database, "wrk_a", [], 10.0)
    with database.reading() as session:
        assert workers.count(session) == (1, 1)


def test_a_project_sees_its_own_jobs_alone(database: Database) -> None:
    add_worker(database, "wrk_a")
    mine, theirs = add_job(database, "mine"), add_job(database, "theirs")
    queue.claim(database, "wrk_a", 2, 10.0)
    owner = principal(database, "mine").project_id
    with database.reading() as session:
        assert [each["jobs"] for each in workers.alive(session, owner)] == [[mine]]
        assert [each["jobs"] for each in workers.alive(session, None)] == [[mine, theirs]]
