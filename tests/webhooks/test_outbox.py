"""Cursors: every event once and in order to each webhook, by one sender at a time."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import events
from app.jobs.events import Entry
from app.settings import Settings
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Job, Webhook, WebhookCursor
from app.webhooks import outbox, service
from app.webhooks.outbox import Held
from app.webhooks.schemas import WebhookCreate
from tests.support.rows import add_job, principal

URL = "https://example.com/hook"


@pytest.fixture
def settings() -> Settings:
    return Settings(webhooks=True)


def add_webhook(database: Database, settings: Settings, project: str = "default", **more: Any) -> str:
    who = principal(database, project)
    with database.writing() as session:
        return service.create(session, settings, who, WebhookCreate(url=URL, **more))[0].id


def add_subscribed(database: Database, project: str = "default") -> str:
    job_id, owner = add_job(database, project), principal(database, project)
    with database.writing() as session:
        events.subscribe(session, owner.project_id, job_id)
    return job_id


def append(database: Database, job_id: str, *types: str) -> None:
    with database.writing() as session:
        events.append(session, job_id, [Entry(each, "It happened.") for each in types])


def one(database: Database) -> Held:
    (held,) = outbox.take(database, 9, ())
    return held


def drained(database: Database) -> list[tuple[str, int]]:
    """Job and seq of everything that is sent when every message arrives."""
    sent = []
    while taken := outbox.take(database, 9, ()):
        for held in taken:
            following: Held | None = held
            while following is not None and (message := outbox.read(database, following)):
                sent.append((message.event["job_id"], message.event["seq"]))
                following = outbox.delivered(database, following, message.event["seq"])
    return sent


def test_a_new_jobs_log_is_sent_from_its_beginning(database: Database, settings: Settings) -> None:
    add_webhook(database, settings)
    job_id = add_subscribed(database)
    append(database, job_id, "job.started", "job.epoch", "job.checkpoint", "job.succeeded")
    assert drained(database) == [(job_id, 1), (job_id, 2), (job_id, 5)]
    assert drained(database) == []


def test_of_a_job_that_was_there_only_what_comes_later(database: Database, settings: Settings) -> None:
    job_id = add_job(database)
    add_webhook(database, settings)
    assert drained(database) == []
    append(database, job_id, "job.started")
    assert drained(database) == [(job_id, 2)]


def test_another_projects_events_stay_there(database: Database, settings: Settings) -> None:
    add_webhook(database, settings, "mine")
    add_subscribed(database, "theirs")
    assert drained(database) == []


def test_only_the_types_that_were_asked_for(database: Database, settings: Settings) -> None:
    add_webhook(database, settings, types=["job.failed"])
    job_id = add_subscribed(database)
    append(database, job_id, "job.started", "job.failed")
    assert drained(database) == [(job_id, 3)]


def test_a_cursor_that_is_held_is_nobody_elses(database: Database, settings: Settings) -> None:
    add_webhook(database, settings)
    add_subscribed(database)
    held = one(database)
    assert outbox.take(database, 9, ()) == []
    outbox.give_back(database, held)
    assert one(database).seq == 0


def test_who_was_too_slow_changes_nothing(database: Database, settings: Settings) -> None:
    add_webhook(database, settings)
    add_subscribed(database)
    slow = one(database)
    with database.writing() as session:
        session.execute(sa.update(WebhookCursor).values(next_attempt_at=0.0))
    heir = one(database)
    assert outbox.delivered(database, slow, 1) is None
    outbox.failed(database, slow, "late", 5.0, 0.0)
    outbox.gone(database, slow)
    assert outbox.delivered(database, heir, 1) is not None


def test_a_failure_waits_longer_each_time_and_stops_at_last(database: Database, settings: Settings) -> None:
    webhook_id = add_webhook(database, settings)
    job_id = add_subscribed(database)
    pauses = []
    for attempt in range(len(outbox.PAUSES) + 1):
        held = one(database)
        assert held.attempts == attempt
        message = outbox.read(database, held)
        assert message is not None
        assert message.event["seq"] == 1
        outbox.failed(database, held, "The receiver answered 500.", 5.0, 0.0)
        with database.writing() as session:
            left = session.scalar(sa.select((WebhookCursor.next_attempt_at - clock()).label("left")))
            pauses.append(round(left or 0.0))
            session.execute(sa.update(WebhookCursor).values(next_attempt_at=0.0))
    assert pauses[:-1] == pytest.approx([5.0 * each for each in outbox.PAUSES], abs=2)
    assert outbox.take(database, 9, ()) == []
    with database.writing() as session:
        webhook = session.get_one(Webhook, webhook_id)
        assert webhook.disabled_because == outbox.GIVEN_UP
        webhook.disabled_because = None
    append(database, job_id, "job.started")
    assert drained(database) == [(job_id, 1), (job_id, 2)]  # nothing was skipped


def test_who_answers_gone_is_left_alone(database: Database, settings: Settings) -> None:
    add_webhook(database, settings)
    add_subscribed(database)
    outbox.gone(database, one(database))
    assert outbox.take(database, 9, ()) == []


def test_one_with_much_to_send_does_not_hide_another(database: Database, settings: Settings) -> None:
    first = add_webhook(database, settings, "many")
    for _ in range(30):
        add_subscribed(database, "many")
    other = add_webhook(database, settings, "few")
    add_subscribed(database, "few")
    busy: set[str] = set()
    while taken := outbox.take(database, 2, busy):
        busy |= {each.webhook_id for each in taken}
    assert busy == {first, other}


def test_the_cursor_of_a_job_that_is_over_goes(database: Database, settings: Settings) -> None:
    add_webhook(database, settings)
    over, failed = add_subscribed(database), add_subscribed(database)
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == over).values(status="succeeded"))
        session.execute(sa.update(Job).where(Job.id == failed).values(status="failed"))
    assert len(drained(database)) == 2
    with database.reading() as session:
        assert list(session.scalars(sa.select(WebhookCursor.job_id))) == [failed]  # it may be tried again
