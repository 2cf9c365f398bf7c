"""Jobs as clients see them: reading and deleting. They begin in `submission`; `actions` is what they take."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import events, ledger, thinning
from app.jobs.states import HELD, State, require
from app.keys.service import Principal
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.tables import Epoch, Event, Job, Snapshot

PHASES: dict[str, str] = {
    State.QUEUED: "waiting",
    State.PAUSED: "paused",
    **dict.fromkeys(HELD, "training"),
}


def get(session: Session, principal: Principal, job_id: str) -> Job:
    return lookup.get(session, Job, principal.project_id, job_id, "job_id")


ROWS_AT_ONCE = 100_000


def delete(session: Session, blobs: Blobs, principal: Principal, job_id: str) -> None:
    """Delete a finished job with its history; its model stays."""
    job = lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=True)
    require(job.status, "delete")
    ledger.drop(session, blobs, job.id)
    initial = job.initial_parameters
    for table, number, count in (
        (Epoch, Epoch.epoch, job.epochs_completed),
        (Event, Event.seq, job.event_count),
        (Snapshot, Snapshot.number, job.snapshot_count),
    ):
        for first in range(1, count + 1, ROWS_AT_ONCE):  # each statement within the time that one has
            part = number.between(first, first + ROWS_AT_ONCE - 1)
            session.execute(sa.delete(table).where(table.job_id == job.id, part))
    session.execute(sa.delete(Job).where(Job.id == job.id))
    if initial is not None:
        blobs.release(session, initial)


def answer(session: Session, job: Job) -> dict[str, Any]:
    """The job as clients see it."""
    training = job.training
    # Each moment is of the wall clock of whoever wrote it, and those are not set alike.
    started = None if job.started_at is None else max(job.created_at, job.started_at)
    finished = None if job.finished_at is None else max(started or job.created_at, job.finished_at)
    return {
        "id": job.id,
        "created_at": job.created_at,
        "created_by": job.created_by,
        "name": job.name,
        "metadata": job.labels,
        "status": job.status,
        "task": job.task,
        "target": job.target[0] if len(job.target) == 1 else job.target,
        "features": job.features,
        "dataset_id": job.dataset_id,
        "dataset_sha256": job.dataset_sha256,
        "model_id": job.model_id,
        "architecture_id": job.architecture_id,
        "architecture": job.architecture,
        "training": training,
        "requested": job.requested,
        "fingerprint": job.fingerprint,
        "priority": job.priority,
        "memory_bytes": job.memory_bytes,
        "progress": {
            "phase": PHASES.get(job.status, "done"),
            "completed": job.epochs_completed,
            "total": training["epochs"],
            "updated_at": job.progress_at,
        },
        "queue_position": _queue_position(session, job),
        "estimated_finish": _estimated_finish(job),
        "result": job.result,
        "warnings": job.warnings,
        "error": job.error,
        "retries": job.retries,
        "paused_because": job.paused_because,
        "started_at": started,
        "finished_at": finished,
    }


def _queue_position(session: Session, job: Job) -> int | None:
    if job.status != State.QUEUED:
        return None
    before = sa.or_(Job.priority > job.priority, sa.and_(Job.priority == job.priority, Job.id < job.id))
    ahead = sa.select(sa.func.count()).where(Job.status == State.QUEUED, before)
    return 1 + (session.scalar(ahead) or 0)


def _estimated_finish(job: Job) -> datetime | None:
    """If every epoch is trained, and takes as long as those so far."""
    if job.status != State.RUNNING or not job.epochs_completed or not job.started_at or not job.progress_at:
        return None
    each = (job.progress_at - job.started_at) / job.epochs_completed
    left = job.training["epochs"] - job.epochs_completed
    finish: datetime = job.progress_at + min(left * each, timedelta(days=3650))
    return finish


def epochs(
    session: Session, job_id: str, after: int, limit: int, max_points: int | None
) -> tuple[list[dict[str, Any]], bool]:
    """Epochs behind ``after``; thinned to ``max_points``, keeping first, last, least and greatest cost."""
    statement = sa.select(Epoch).where(Epoch.job_id == job_id, Epoch.epoch > after).order_by(Epoch.epoch)
    if max_points is not None:
        chosen = thinning.chosen(session, job_id, after, max_points)
        rows: Sequence[Epoch] = session.scalars(statement.where(Epoch.epoch.in_(chosen))).all()
        return [events.epoch_answer(row) for row in rows], False
    rows = session.scalars(statement.limit(limit + 1)).all()
    return [events.epoch_answer(row) for row in rows[:limit]], len(rows) > limit
