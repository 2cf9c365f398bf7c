"""What is to be sent next, and what came of it: cursors in the database, one holder at a time.

A cursor says how far a webhook has read a job's log. Whoever takes it moves ``next_attempt_at`` ahead; that
very number is what a result must name, so one who was slow, and whose cursor another took, changes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import events
from app.jobs.states import State
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Event, Job, Webhook, WebhookCursor

HELD_SECONDS = 30.0
"""Longer than any attempt takes; a holder that died is followed by another after it."""

PAUSES = (1, 60, 360, 1440, 3600, 7200, 10080, 14400)
"""Between attempts, in units of the first pause (5 s: up to 20 hours, about two days in all)."""

GONE = "The receiver answered 410: it wants no more."
GIVEN_UP = f"A message could not be delivered in {len(PAUSES) + 1} attempts."


@dataclass(frozen=True, slots=True)
class Held:
    """A cursor that is ours, until ``until`` on the database's clock; ``attempts`` have failed before."""

    webhook_id: str
    job_id: str
    seq: int
    attempts: int
    until: float


@dataclass(frozen=True, slots=True)
class Message:
    """An event to be sent."""

    url: str
    secret: str
    event: dict[str, Any]


_due = (
    sa.select(WebhookCursor)
    .join(Job, Job.id == WebhookCursor.job_id)
    .join(Webhook, Webhook.id == WebhookCursor.webhook_id)
    .where(
        WebhookCursor.seq < Job.event_count,
        WebhookCursor.next_attempt_at <= clock(),
        Webhook.disabled_because.is_(None),
    )
    .order_by(WebhookCursor.next_attempt_at, WebhookCursor.job_id)
)


def take(database: Database, most: int, busy: Collection[str]) -> list[Held]:
    """Up to ``most`` cursors with something to send, each of another webhook, none of a ``busy`` one."""
    due = _due.where(WebhookCursor.webhook_id.not_in(busy)).limit(most)
    with database.reading() as session:
        if not session.scalars(due.limit(1)).first():
            return []
    with database.writing() as session:
        taken: dict[str, Held] = {}
        until = session.scalar(sa.select(clock() + HELD_SECONDS)) or 0.0
        for cursor in session.scalars(due.with_for_update(of=WebhookCursor, skip_locked=True)):
            if cursor.webhook_id not in taken:
                cursor.next_attempt_at = until
                taken[cursor.webhook_id] = Held(
                    cursor.webhook_id, cursor.job_id, cursor.seq, cursor.attempts, until
                )
        return list(taken.values())


def read(database: Database, held: Held) -> Message | None:
    """The next message of a cursor; with none left the cursor is given back, or away with its job's end."""
    with database.reading() as session:
        webhook = session.get(Webhook, held.webhook_id)
        job = session.get(Job, held.job_id)
        if webhook is None or job is None or webhook.disabled_because is not None:
            return None
        known = job.event_count  # before the events: what comes later is for the next look
        wanted = (
            sa.select(Event.seq)
            .where(Event.job_id == job.id, Event.seq > held.seq, Event.type.in_(webhook.types))
            .order_by(Event.seq)
        )
        seq = session.scalar(wanted.limit(1))
        if seq is not None:
            (event,) = events.after(session, job.id, seq - 1, 1)
            return Message(webhook.url, webhook.secret, event)
    with database.writing() as session:
        over = job.status in (State.SUCCEEDED, State.CANCELLED)
        mine = _mine(held)
        if over:
            session.execute(sa.delete(WebhookCursor).where(*mine))
        else:
            session.execute(
                sa.update(WebhookCursor).where(*mine).values(seq=known, next_attempt_at=0.0, attempts=0)
            )
    return None


def delivered(database: Database, held: Held, seq: int) -> Held | None:
    """Note an arrival; the cursor stays ours for the job's next message, unless another has it."""
    with database.writing() as session:
        until = session.scalar(sa.select(clock() + HELD_SECONDS)) or 0.0
        values = {"seq": seq, "attempts": 0, "next_attempt_at": until, "last_error": None}
        if not _update(session, held, values):
            return None
    return Held(held.webhook_id, held.job_id, seq, 0, until)


def give_back(database: Database, held: Held) -> None:
    """Let others take the cursor at once."""
    with database.writing() as session:
        _update(session, held, {"next_attempt_at": clock()})


def failed(database: Database, held: Held, error: str, first_pause: float, jitter: float) -> None:
    """Note a failure: the message is tried again after a pause, and at last the webhook is stopped.

    ``jitter`` is from 0 to 1 and makes the pause up to a fifth longer.
    """
    with database.writing() as session:
        attempts = held.attempts + 1
        pause = PAUSES[min(attempts, len(PAUSES)) - 1] * first_pause * (1 + 0.2 * jitter)
        values: dict[str, Any] = {
            "attempts": attempts,
            "last_error": error,
            "next_attempt_at": clock() + pause,
        }
        if _update(session, held, values) and attempts > len(PAUSES):
            _stop(session, held, GIVEN_UP)


def gone(database: Database, held: Held) -> None:
    """The receiver wants no more: stop the webhook."""
    with database.writing() as session:
        if _update(session, held, {"next_attempt_at": 0.0, "last_error": GONE}):
            _stop(session, held, GONE)


def _stop(session: Session, held: Held, reason: str) -> None:
    statement = sa.update(Webhook).where(Webhook.id == held.webhook_id, Webhook.disabled_because.is_(None))
    session.execute(statement.values(disabled_because=reason))


def _update(session: Session, held: Held, values: dict[str, Any]) -> bool:
    changed = sa.update(WebhookCursor).where(*_mine(held)).values(values)
    return session.scalar(changed.returning(WebhookCursor.webhook_id)) is not None


def _mine(held: Held) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        WebhookCursor.webhook_id == held.webhook_id,
        WebhookCursor.job_id == held.job_id,
        WebhookCursor.next_attempt_at == held.until,
    )
