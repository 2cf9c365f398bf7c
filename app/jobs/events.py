"""A job's event log: appended in the transaction that makes an event true, numbered without gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.columns import new_id, now
from app.storage.declaring import core
from app.storage.tables import Epoch, Event, Job, Webhook, WebhookCursor

EPOCHS_PER_EVENT = 100

INSERT = sa.insert(core(Event))


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is about to be written."""

    type: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    level: Literal["info", "warning", "error"] = "info"


def append(session: Session, job_id: str, entries: Sequence[Entry]) -> None:
    """Write the entries under the job's next sequence numbers (the job's row is locked until commit)."""
    if not entries:
        return
    grown = (
        sa.update(Job)
        .where(Job.id == job_id)
        .values(event_count=Job.event_count + len(entries))
        .returning(Job.event_count)
    )
    last = session.scalar(grown)
    assert last is not None
    insert(session, job_id, last - len(entries) + 1, entries)


def insert(session: Session, job_id: str, first: int, entries: Sequence[Entry]) -> None:
    """Write the entries as ``first``, ``first`` + 1, …; the caller counts them in the job's row."""
    if not entries:
        return
    moment = now()
    rows = [
        {
            "job_id": job_id,
            "seq": seq,
            "id": new_id("evt"),
            "created_at": moment,
            "level": entry.level,
            "type": entry.type,
            "message": entry.message,
            "data": entry.data,
        }
        for seq, entry in enumerate(entries, first)
    ]
    session.execute(INSERT, rows)


_webhooks, _job = core(Webhook), sa.bindparam("job", type_=sa.String())
SUBSCRIBE = sa.insert(core(WebhookCursor)).from_select(
    ("webhook_id", "job_id", "seq", "attempts", "next_attempt_at"),
    sa.select(_webhooks.c.id, _job, sa.literal(0), sa.literal(0), sa.literal(0.0)).where(
        _webhooks.c.project_id == sa.bindparam("project")
    ),
)


def subscribe(session: Session, project_id: str, job_id: str) -> None:
    """Have every webhook of the project read a new job's log from its beginning."""
    session.execute(SUBSCRIBE, {"project": project_id, "job": job_id})


def epoch_entries(first: int, last: int) -> list[Entry]:
    """Events for epochs ``first`` to ``last``; the numbers themselves stay in the epochs' rows."""
    return [
        Entry(
            "job.epoch",
            f"Epoch {end}" if start == end else f"Epochs {start} to {end}",
            {"first_epoch": start, "last_epoch": end},
        )
        for start in range(first, last + 1, EPOCHS_PER_EVENT)
        for end in [min(start + EPOCHS_PER_EVENT - 1, last)]
    ]


def after(session: Session, job_id: str, seq: int, limit: int) -> list[dict[str, Any]]:
    """The events behind ``seq``, oldest first; those of epochs carry the epochs' rows."""
    statement = sa.select(Event).where(Event.job_id == job_id, Event.seq > seq)
    found = session.scalars(statement.order_by(Event.seq).limit(limit)).all()
    spans = [each.data for each in found if each.type == "job.epoch"]
    rows = _epochs(session, job_id, spans)
    return [_answer(event, rows) for event in found]


def _epochs(session: Session, job_id: str, spans: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    spans = list(spans)
    if not spans:
        return {}
    first = min(span["first_epoch"] for span in spans)
    last = max(span["last_epoch"] for span in spans)
    statement = sa.select(Epoch).where(Epoch.job_id == job_id, Epoch.epoch.between(first, last))
    return {row.epoch: epoch_answer(row) for row in session.scalars(statement)}


def _answer(event: Event, rows: dict[int, dict[str, Any]]) -> dict[str, Any]:
    data = event.data
    if event.type == "job.epoch":
        span = range(data["first_epoch"], data["last_epoch"] + 1)
        data = {**data, "epochs": [rows[epoch] for epoch in span if epoch in rows]}
    return {
        "object": "event",
        "id": event.id,
        "seq": event.seq,
        "job_id": event.job_id,
        "created_at": event.created_at,
        "level": event.level,
        "type": event.type,
        "message": event.message,
        "data": data,
    }


def epoch_answer(row: Epoch) -> dict[str, Any]:
    """One epoch as clients see it."""
    return {
        "epoch": row.epoch,
        "cost": row.cost,
        "data_cost": row.data_cost,
        "validation_cost": row.validation_cost,
        "metrics": row.metrics,
        "learning_rate": row.learning_rate,
        "gradient_norm": row.gradient_norm,
        "seconds": row.seconds,
        "diverged": row.diverged,
    }
