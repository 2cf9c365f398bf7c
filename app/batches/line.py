"""Who works at which batch: leases on the database's clock, and a fence that a late worker runs into."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.storage.columns import clock, now
from app.storage.database import Database
from app.storage.tables import Batch

LEASE_SECONDS = 10.0
MOST_ATTEMPTS = 8
WAITING = ("queued", "running")

NEVER_ENDED = {
    "code": "internal_error",
    "message": f"It was begun {MOST_ATTEMPTS} times, and was killed each time before it came to its end.",
    "errors": [],
}


class Held(NamedTuple):
    """A batch that is ours as long as nobody else's claim has come after."""

    id: str
    project_id: str
    created_by: str
    name: str | None
    labels: dict[str, str]
    model_id: str
    dataset_id: str
    fence: int


def _due() -> sa.Select[Batch]:
    """What nobody works at: next is the project whose last one was begun before the others'."""
    other = aliased(Batch)
    last = sa.select(sa.func.max(other.started_at)).where(other.project_id == Batch.project_id)
    left = sa.and_(Batch.status == "running", Batch.lease_until < clock())
    turn = last.scalar_subquery()
    return (
        sa.select(Batch)
        .where(sa.or_(Batch.status == "queued", left))
        .order_by(turn.is_not(None), turn, Batch.id)
        .limit(1)
    )


def claim(database: Database) -> Held | None:
    """Take the next one, whatever its project; one that has been begun too often has failed."""
    due = _due()
    with database.reading() as session:
        if session.scalars(due).first() is None:
            return None
    with database.writing() as session:
        database.claim_lock(session)
        batch = session.scalars(due).first()
        if batch is None:
            return None
        if batch.attempts >= MOST_ATTEMPTS:
            batch.status, batch.error, batch.finished_at = "failed", NEVER_ENDED, now()
            return None
        batch.status = "running"
        batch.attempts += 1
        batch.fence += 1
        batch.completed = 0
        batch.started_at = batch.started_at or now()
        batch.lease_until = session.scalar(sa.select(clock() + LEASE_SECONDS)) or 0.0
        return Held(
            id=batch.id,
            project_id=batch.project_id,
            created_by=batch.created_by,
            name=batch.name,
            labels=batch.labels,
            model_id=batch.model_id,
            dataset_id=batch.dataset_id,
            fence=batch.fence,
        )


def renew(database: Database, held: Held, completed: int) -> bool:
    """Hold it for longer; whether it is still ours, and wanted."""
    with database.writing() as session:
        return write(session, held, {"completed": completed, "lease_until": clock() + LEASE_SECONDS})


def give_back(database: Database, held: Held, *, killed: bool = False) -> None:
    """Let another begin it at once. Unless it was ``killed``, it is not its fault that it did not end."""
    values: dict[str, Any] = {"status": "queued"}
    if not killed:
        values["attempts"] = Batch.attempts - 1
    with database.writing() as session:
        write(session, held, values)


def write(session: Session, held: Held, values: Mapping[str, Any]) -> bool:
    """Write to the row, if it is ours still: neither cancelled nor taken by another."""
    mine = (
        sa.update(Batch)
        .where(Batch.id == held.id, Batch.fence == held.fence, Batch.status == "running")
        .values(values)
        .returning(Batch.id)
    )
    return session.execute(mine, execution_options={"synchronize_session": False}).first() is not None
