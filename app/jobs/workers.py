"""The workers that are alive, as the database's clock sees them, and the jobs that each one holds."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.states import HELD
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Job, Worker

SILENT_SECONDS = 15.0
"""A worker that is silent for longer is not listed."""

FORGOTTEN_SECONDS = 3600.0
"""The row of a worker that is silent for longer is deleted; one that comes back makes it anew."""

_silent = sa.func.abs(clock() - Worker.seen_at).label("silent")


def alive(session: Session, project_id: str | None) -> list[dict[str, Any]]:
    """The workers that were seen lately, and the jobs that each holds: of this project, or None: of all."""
    held = sa.select(Job.worker_id, Job.id).where(Job.status.in_(HELD), Job.worker_id.is_not(None))
    if project_id is not None:
        held = held.where(Job.project_id == project_id)
    jobs = defaultdict[str | None, list[str]](list)
    for worker_id, job_id in session.execute(held.order_by(Job.id)):
        jobs[worker_id].append(job_id)
    seen = sa.select(Worker, _silent).where(_silent < SILENT_SECONDS).order_by(Worker.id)
    return [
        {
            "id": row.id,
            "host": row.host,
            "pid": row.pid,
            "state": "draining" if row.draining else "active",
            "slots": row.slots,
            "busy": row.busy,
            "jobs": jobs[row.id],
            "started_at": row.started_at,
            "seen_seconds_ago": seconds,
        }
        for row, seconds in session.execute(seen)
    ]


def count(session: Session) -> tuple[int, int]:
    """How many workers were seen lately and take jobs, and how many of them are going away."""
    number = sa.select(Worker.draining, sa.func.count()).where(_silent < SILENT_SECONDS)
    found = {bool(draining): n for draining, n in session.execute(number.group_by(Worker.draining))}
    return found.get(False, 0), found.get(True, 0)


def slots(session: Session) -> int:
    """The jobs that the workers can train at once."""
    lately = sa.and_(_silent < SILENT_SECONDS, Worker.draining.is_(False))
    return int(session.scalar(sa.select(sa.func.sum(Worker.slots)).where(lately)) or 0)


def drain(database: Database, worker_id: str) -> None:
    """Say that this worker takes no more jobs."""
    with database.writing() as session:
        session.execute(sa.update(Worker).where(Worker.id == worker_id).values(draining=True))


def sweep(database: Database) -> None:
    """Delete the rows of workers that nobody has seen for long: they died with their host."""
    with database.writing() as session:
        session.execute(sa.delete(Worker).where(_silent > FORGOTTEN_SECONDS))
