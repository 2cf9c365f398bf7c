"""Rows of history whose job has been deleted. They belong to nobody, so that nobody sees them, and they go a
piece at a time: a million at once would keep every other writer waiting for seconds.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.database import Database
from app.storage.tables import Epoch, Event, Job

ROWS_AT_ONCE = 10_000
"""Of one table in one transaction: a few hundredths of a second."""

NUMBERED: tuple[tuple[Any, Any], ...] = ((Epoch, Epoch.epoch), (Event, Event.seq))
UNSEEN = {"synchronize_session": False}
"""Nothing of them is loaded: what is deleted need not be told."""


def take(session: Session, job_id: str) -> int:
    """Delete the first rows that are left of a job's epochs and of its events; return how many there were."""
    taken = 0
    for table, number in NUMBERED:
        mine = table.job_id == job_id
        first = session.scalar(sa.select(sa.func.min(number)).where(mine))
        if first is not None:
            part = number.between(first, first + ROWS_AT_ONCE - 1)
            result: Any = session.execute(sa.delete(table).where(mine, part), execution_options=UNSEEN)
            taken += result.rowcount
    return taken


def sweep(database: Database) -> int:
    """Delete all that is left of deleted jobs, in transactions of their own; return how many rows."""
    with database.reading() as session:
        left = {job_id for table, _ in NUMBERED for job_id in _without_job(session, table)}
    taken = 0
    for job_id in sorted(left):
        while True:
            with database.writing() as session:
                found = take(session, job_id)
            if not found:
                break
            taken += found
    return taken


def _without_job(session: Session, table: Any) -> Iterator[str]:
    """Ids of jobs that have rows here and are no more. It steps from job to job, not from row to row."""
    first = sa.select(sa.func.min(table.job_id).label("id")).cte("ids", recursive=True)
    behind = sa.select(sa.func.min(table.job_id)).where(table.job_id > first.c.id).scalar_subquery()
    ids = first.union_all(sa.select(behind).where(first.c.id.is_not(None)))
    gone = ids.c.id.is_not(None) & ~sa.exists().where(Job.id == ids.c.id)
    yield from session.scalars(sa.select(ids.c.id).where(gone))
