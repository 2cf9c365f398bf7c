"""Jobs as clients see them: reading and deleting. They begin in `submission`; `actions` is what they take."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import events, forecast, ledger, leftovers, line, thinning
from app.jobs.states import HELD, State, require, require_unfinished
from app.keys.service import Principal
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.scope import across
from app.storage.tables import Dataset, Epoch, Job

PHASES: dict[str, str] = {
    State.QUEUED: "waiting",
    State.PAUSED: "paused",
    **dict.fromkeys(HELD, "training"),
}


def get(session: Session, principal: Principal, job_id: str, *, lock: bool = False) -> Job:
    return lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=lock)


def prioritize(job: Job, priority: int) -> None:
    """Let a job that has not ended go before those of a lower priority, when it is to be claimed next."""
    if job.priority != priority:
        require_unfinished(job.status)
        job.priority = priority


def delete(session: Session, blobs: Blobs, principal: Principal, job_id: str) -> None:
    """Delete a finished job with its history; its model stays, and its dataset knows when it was used.

    Of a long history the `leftovers`, which nobody sees any more, go later.
    """
    job = lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=True)
    require(job.status, "delete")
    ledger.drop(session, blobs, job.id)
    initial = job.initial_parameters
    leftovers.take(session, job.id)
    used = sa.or_(Dataset.last_used_at.is_(None), Dataset.last_used_at < job.finished_at)
    trained_on = sa.update(Dataset).where(Dataset.id == job.dataset_id, used)
    with across(session):  # it may be another project's, which shares it
        session.execute(trained_on.values(last_used_at=job.finished_at), execution_options=leftovers.UNSEEN)
    session.execute(sa.delete(Job).where(Job.id == job.id))
    if initial is not None:
        blobs.release(session, initial)


def answer(session: Session, job: Job, max_running: int | None) -> dict[str, Any]:
    """The job as clients see it; ``max_running`` is the setting, which its place in the line depends on."""
    place = line.position(session, job, max_running)
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
        "initial_model_id": job.initial_model_id,
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
        "queue_position": place,
        "estimated_finish": forecast.finish(session, job, place),
        "result": job.result,
        "warnings": job.warnings,
        "error": job.error,
        "retries": job.retries,
        "paused_because": job.paused_because,
        "started_at": started,
        "finished_at": finished,
    }


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
