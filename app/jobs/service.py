"""Jobs as clients see them: creation, reading, cancelling, deleting."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures import service as architectures
from app.architectures.network import to_engine
from app.architectures.schemas import ArchitectureSpec
from app.datasets import content
from app.datasets import service as datasets
from app.engine import Parameters, ShapeMismatch
from app.errors import Fault, Invalid
from app.jobs import events
from app.jobs.events import Entry
from app.jobs.resolution import Resolved, resolve
from app.jobs.schemas import JobCreate, LayerParameters
from app.jobs.states import TERMINAL, State, require
from app.keys.service import Principal
from app.models import parameters as codec
from app.settings import Settings
from app.storage import lookup
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now, to_json
from app.storage.database import Database
from app.storage.tables import Epoch, Event, Job, Snapshot

MOST_ARRAY_ITEMS = 64
SPLIT_ROWS = 200_000
"""Up to so many rows a job's split is made with the job: small ones do not go by reckoning."""


def create(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: JobCreate,
    sent: dict[str, Any],
) -> dict[str, Any]:
    """Queue a job. ``sent`` is the body as it came, kept beside what it was resolved to.

    Raises Invalid with every misfit, NotFound for an unknown dataset or architecture.
    """
    with database.reading() as session:
        resolved = _resolve(session, database, blobs, settings, principal, asked)
    initial = _initial(blobs, asked.initial_parameters, resolved)
    moment = now()
    job_id = new_id("job")
    with database.writing() as session:
        dataset = datasets.get(session, principal, asked.dataset_id, param="dataset_id", keep=True)
        if initial is not None:
            blobs.attach(session, initial)
        row = {
            "id": job_id,
            "project_id": principal.project_id,
            "created_by": principal.key_id,
            "created_at": moment,
            "name": asked.name,
            "labels": asked.metadata,
            "dataset_id": dataset.id,
            "dataset_sha256": dataset.sha256,
            "task": resolved.task,
            "target": resolved.target,
            "features": resolved.features,
            "architecture_id": asked.architecture_id,
            "architecture": resolved.architecture,
            "training": resolved.training,
            "requested": _abridged(sent),
            "initial_parameters": None if initial is None else initial.sha256,
            "warnings": resolved.warnings,
            "status": State.QUEUED,
            "want": "run",
            "priority": asked.priority,
            "fence": 0,
            "lease_until": 0.0,
            "crashes": 0,
            "event_count": 1,
            "epochs_completed": 0,
        }
        job = Job(**row)
        session.add(job)
        session.flush()
        events.insert(session, job_id, 1, [Entry("job.queued", "The job waits for a worker.")])
        database.announce(session)
        return answer(session, job)


def _resolve(
    session: Session,
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: JobCreate,
) -> Resolved:
    dataset = datasets.get(session, principal, asked.dataset_id, param="dataset_id")
    spec = asked.architecture if isinstance(asked.architecture, ArchitectureSpec) else None
    if asked.architecture_id is not None:
        if spec is not None:
            message = "Give an architecture or an architecture_id, not both."
            raise Invalid(message, Fault("architecture_id", "not_allowed", message))
        spec = architectures.spec(session, principal, asked.architecture_id)

    def sizes(task: str, targets: list[str], training: dict[str, Any]) -> tuple[int, int]:
        table = content.table_of(database, blobs, settings.cache_dir, dataset.id, dataset.sha256)
        split = content.split_of(table, targets, task, training)
        return len(split.train), len(split.validation)

    exactly = sizes if dataset.row_count <= SPLIT_ROWS else None
    return resolve(asked, dataset.columns, dataset.row_count, spec, settings, exactly)


def _initial(blobs: Blobs, layers: list[LayerParameters] | None, resolved: Resolved) -> Staged | None:
    if layers is None:
        return None
    try:
        pairs = [(layer.W, layer.b) for layer in layers]
        parameters = Parameters.of(to_engine(resolved.architecture), pairs, resolved.training["dtype"])
    except ShapeMismatch as error:
        where = error.where if error.where.startswith("[") else ""
        message = f"Expected {_shape(error.expected)}, got {_shape(error.got)}."
        fault = Fault(f"initial_parameters{where}", "wrong_shape", message, _SHAPES)
        raise Invalid(f"{fault.param}: {message}", fault) from None
    if not parameters.is_finite():
        message = "A number is beyond the range of the training dtype."
        raise Invalid(message, Fault("initial_parameters", "not_finite", message, 'Use "dtype": "float64".'))
    return blobs.stage(codec.dump(parameters))


_SHAPES = "Element k is W^(k), s_{k+1} rows of s_k numbers, and b^(k), s_{k+1} numbers."


def _shape(shape: tuple[int, ...] | None) -> str:
    return "no rectangle of numbers" if shape is None else " x ".join(str(size) for size in shape)


def _abridged(value: Any) -> Any:
    """The request, with long arrays as their shape and SHA-256."""
    if isinstance(value, dict):
        return {name: _abridged(each) for name, each in value.items()}
    if isinstance(value, list):
        shape: list[int] = []
        inner: Any = value
        while isinstance(inner, list):
            shape.append(len(inner))
            inner = inner[0] if inner else None
        size = 1
        for length in shape:
            size *= length
        if size > MOST_ARRAY_ITEMS and not isinstance(inner, dict | str):
            digest = hashlib.sha256(to_json(value).encode()).hexdigest()
            return {"shape": shape, "sha256": digest}
        return [_abridged(each) for each in value]
    return value


def get(session: Session, principal: Principal, job_id: str) -> Job:
    return lookup.get(session, Job, principal.project_id, job_id, "job_id")


def cancel(session: Session, database: Database, principal: Principal, job_id: str) -> bool:
    """Ask for a job's end; return False when that was asked for already."""
    job = lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=True)
    if job.status in (State.CANCELLING, State.CANCELLED):
        return False
    require(job.status, "cancel")
    job.want = "cancel"
    if job.status == State.RUNNING or session.get(Snapshot, job.id) is not None:
        # One that waits after a crash leaves a model, too: a worker makes it from the last snapshot.
        job.status = State.CANCELLING
        entry = Entry("job.cancelling", "The job is asked to stop.")
    else:
        job.status, job.finished_at = State.CANCELLED, now()
        job.result = {
            "epochs": job.epochs_completed,
            "cost": None,
            "stop_reason": "cancelled",
            "metrics": None,
        }
        entry = Entry("job.cancelled", "The job was cancelled before it ran.")
    session.flush()
    events.append(session, job.id, [entry])
    session.refresh(job)
    database.announce(session)
    return True


def delete(session: Session, blobs: Blobs, principal: Principal, job_id: str) -> None:
    """Delete a finished job with its history; its model stays."""
    job = lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=True)
    require(job.status, "delete")
    snapshot = session.get(Snapshot, job.id)
    contents = [job.initial_parameters, snapshot.content if snapshot else None]
    for table in (Epoch, Event, Snapshot):
        session.execute(sa.delete(table).where(table.job_id == job.id))
    session.execute(sa.delete(Job).where(Job.id == job.id))
    for sha256 in contents:
        if sha256 is not None:
            blobs.release(session, sha256)


def answer(session: Session, job: Job) -> dict[str, Any]:
    """The job as clients see it."""
    training = job.training
    phase = "waiting" if job.status == State.QUEUED else "done" if job.status in TERMINAL else "training"
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
        "progress": {
            "phase": phase,
            "completed": job.epochs_completed,
            "total": training["epochs"],
            "updated_at": job.progress_at,
        },
        "queue_position": _queue_position(session, job),
        "estimated_finish": _estimated_finish(job),
        "result": job.result,
        "warnings": job.warnings,
        "error": job.error,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
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
        chosen = _thinned(session, job_id, after, max_points)
        rows: Sequence[Epoch] = session.scalars(statement.where(Epoch.epoch.in_(chosen))).all()
        return [events.epoch_answer(row) for row in rows], False
    rows = session.scalars(statement.limit(limit + 1)).all()
    return [events.epoch_answer(row) for row in rows[:limit]], len(rows) > limit


def _thinned(session: Session, job_id: str, after: int, most: int) -> list[int]:
    statement = sa.select(Epoch.epoch, Epoch.cost).where(Epoch.job_id == job_id, Epoch.epoch > after)
    rows = [(row.epoch, row.cost) for row in session.execute(statement.order_by(Epoch.epoch))]
    if len(rows) <= most:
        return [epoch for epoch, _ in rows]
    costs = [(cost, epoch) for epoch, cost in rows if cost is not None]
    kept = {rows[0][0], rows[-1][0], *(edge(costs)[1] for edge in (min, max) if costs)}
    others = max(0, most - len(kept))
    kept.update(rows[(index + 1) * len(rows) // (others + 1)][0] for index in range(others))
    return sorted(kept)
