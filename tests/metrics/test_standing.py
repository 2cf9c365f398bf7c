"""How things stand in the database, on both kinds, and that looking is cheap whatever there is."""

import os
import time
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import queue
from app.metrics import standing
from app.metrics.standing import Standing
from app.storage.columns import clock, now
from app.storage.database import Database
from app.storage.tables import Event, Project, Webhook, WebhookCursor, Worker
from tests.support.rows import add_job, add_jobs, principal
from tests.support.server import until

JOBS = int(os.environ.get("CHAINRULE_TEST_JOBS", "100000"))
CURSORS = 20_000


def look(database: Database) -> Standing:
    return standing.look(database, None)


def add_worker(database: Database, worker_id: str, silent: float = 0.0, **values: Any) -> None:
    row = {"id": worker_id, "host": "h", "pid": 1, "slots": 2, "busy": 1, "draining": False, "counts": {}}
    seen = {"started_at": now(), "seen_at": clock() - silent}
    with database.writing() as session:
        session.execute(sa.insert(Worker).values(row | seen | values))


def wait(database: Database, job_id: str, seconds: float) -> None:
    """Let the job have been in the line for so long."""
    with database.writing() as session:
        since = now() - timedelta(seconds=seconds)
        session.execute(sa.update(Event).where(Event.job_id == job_id).values(created_at=since))


def add_webhook(database: Database, webhook_id: str, **values: Any) -> None:
    owner = principal(database)
    row = {"id": webhook_id, "project_id": owner.project_id, "created_by": owner.key_id, "created_at": now()}
    row |= {"labels": {}, "url": "https://example.com", "secret": "x", "types": [], "disabled_because": None}
    with database.writing() as session:
        session.execute(sa.insert(Webhook).values(row | values))


def add_cursors(database: Database, webhook_id: str, jobs: list[str], **values: Any) -> None:
    row = {"webhook_id": webhook_id, "seq": 0, "attempts": 0, "next_attempt_at": 0.0, "last_error": None}
    with database.writing() as session:
        session.execute(sa.insert(WebhookCursor), [{**row, "job_id": each, **values} for each in jobs])


def test_an_empty_database_has_nothing(database: Database) -> None:
    found = look(database)
    assert set(found.jobs) == {"queued", "running", "pausing", "paused", "cancelling"}
    assert set(found.jobs.values()) == {0}
    assert (found.oldest_seconds, found.workers) == (0.0, [])
    assert (found.webhooks_waiting, found.webhooks_failing) == (0, 0)
    assert found.database_bytes > 0
    assert (found.large_blob_bytes is None) == database.is_sqlite


def test_jobs_are_counted_by_status(database: Database) -> None:
    add_worker(database, "wrk_a")
    for project in ("mine", "mine", "theirs"):
        add_job(database, project)
    add_job(database, status="paused")
    add_job(database, status="succeeded")
    queue.claim(database, "wrk_a", 1, 30.0)
    counted = {name: n for name, n in look(database).jobs.items() if n}
    assert counted == {"queued": 2, "running": 1, "paused": 1}


def test_the_oldest_is_the_first_that_may_start(database: Database) -> None:
    mine, behind, theirs = add_job(database, "mine"), add_job(database, "mine"), add_job(database, "theirs")
    wait(database, mine, 90.0)
    wait(database, behind, 500.0)  # put in front of it, or begun anew: it is not the first
    wait(database, theirs, 30.0)
    assert 90.0 <= look(database).oldest_seconds < 120.0
    with database.writing() as session:  # it waits for its project's own limit, and for no worker
        session.execute(sa.update(Project).where(Project.name == "mine").values(max_running=0))
    assert 30.0 <= look(database).oldest_seconds < 60.0


def test_the_silent_count_no_more(database: Database) -> None:
    add_worker(database, "wrk_a", counts={"epochs": 7.0})
    add_worker(database, "wrk_b", 14.0, draining=True)
    add_worker(database, "wrk_c", 16.0)
    found = look(database).workers
    assert [(each.id, each.draining) for each in found] == [("wrk_a", False), ("wrk_b", True)]
    assert found[0].counts == {"epochs": 7.0}


def test_what_webhooks_have_to_send(database: Database) -> None:
    jobs = [add_job(database) for _ in range(4)]
    add_webhook(database, "whk_a")
    add_webhook(database, "whk_b", disabled_because="It is gone.")
    add_cursors(database, "whk_a", jobs[:1], seq=1)  # it has had all
    add_cursors(database, "whk_a", jobs[1:3])
    add_cursors(database, "whk_a", jobs[3:], attempts=2)
    add_cursors(database, "whk_b", jobs, attempts=9)
    found = look(database)
    assert (found.webhooks_waiting, found.webhooks_failing) == (3, 1)


@pytest.mark.slow
def test_a_look_is_cheap_with_many_jobs(database: Database) -> None:
    for state in ("queued", "succeeded"):
        jobs = add_jobs(database, JOBS, state, status=state)
    add_webhook(database, "whk_a")
    add_cursors(database, "whk_a", jobs[:CURSORS])
    for number in range(20):
        add_worker(database, f"wrk_{number}", counts={"epochs": 1.0})
    took: list[float] = []

    def took_little() -> bool:
        start = time.perf_counter()
        look(database)
        took.append(1000 * (time.perf_counter() - start))
        return len(took) >= 20 and min(took) < 50.0

    until(took_little, 20.0)  # a busy machine may have other things to do for a second or two
    kind = "SQLite" if database.is_sqlite else "Postgres"
    print(f"{kind}, {2 * JOBS} jobs: {sorted(took)[10]:.1f} ms, at worst {max(took):.1f} ms")
    found = look(database)
    assert (found.jobs["queued"], len(found.workers)) == (min(JOBS, standing.MOST_JOBS), 20)
