"""Submitting a job: resolved, checked against all that it needs, and queued."""

import hashlib
from dataclasses import asdict, replace
from typing import Any, NamedTuple, NoReturn

from sqlalchemy.orm import Session

from app.architectures import service as architectures
from app.architectures.schemas import ArchitectureSpec
from app.datasets import content
from app.datasets import service as datasets
from app.datasets.encoding import class_codes
from app.datasets.table import Table
from app.errors import Fault, Invalid
from app.jobs import advice, charges, events, line, shared, starts, weights
from app.jobs.events import Entry
from app.jobs.options import Rows
from app.jobs.resolution import Resolved, resolve
from app.jobs.schemas import JobCreate
from app.jobs.service import answer
from app.jobs.states import State
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.models import service as models
from app.projects import quotas
from app.projects import service as projects
from app.settings import Settings
from app.splits import service as splits
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now, to_json
from app.storage.database import Database
from app.storage.tables import Job

MOST_ARRAY_ITEMS = 64
SPLIT_ROWS = 200_000
"""Up to so many rows a job's split is made with the job: small ones do not go by reckoning."""


class Ready(NamedTuple):
    """A job that may be queued, and the parameters that came with it. ``sent`` is the body as it came."""

    asked: JobCreate
    sent: dict[str, Any]
    resolved: Resolved
    initial: Staged | None


def create(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: JobCreate,
    sent: dict[str, Any],
    once: Once,
) -> Answered:
    """Queue a job. ``sent`` is the body as it came, kept beside what it was resolved to.

    Raises Invalid with every misfit, NotFound for an unknown dataset, architecture or initial model,
    TooManyJobs where as many of the project wait as may, QuotaReached and DailyQuotaReached.
    """
    ready = prepare(database, blobs, settings, principal, asked, sent)
    with once.writing() as session:
        job = queue(session, database, blobs, settings, principal, ready)
        return once.answer(session, f"/v1/jobs/{job.id}", answer(session, job, settings.max_running_jobs))


def prepare(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: JobCreate,
    sent: dict[str, Any],
) -> Ready:
    """Everything that is done ahead of the transaction that queues the job."""
    with database.reading() as session:
        resolved = resolved_of(session, database, blobs, settings, principal, asked)
    layers = asked.initial_parameters
    return Ready(asked, sent, resolved, None if layers is None else starts.sent(blobs, layers, resolved))


def queue(
    session: Session, database: Database, blobs: Blobs, settings: Settings, principal: Principal, ready: Ready
) -> Job:
    """Queue a job that is ready. On Postgres the project is locked from here on: see `line.make_room`."""
    asked, sent, resolved, initial = ready
    model_id = resolved.initial_model_id
    moment = now()
    job_id = new_id("job")
    dataset = datasets.get(session, principal, asked.dataset_id, param="dataset_id", keep=True)
    start, start_bytes = None, 0
    if initial is not None:
        blobs.attach(session, initial)
        start, start_bytes = initial.sha256, initial.size
    elif model_id is not None:
        # The model is locked, so its bytes stay until this job names them too, and then for its sake.
        model = models.get(session, principal, model_id, param="initial_model_id", lock=True)
        start, start_bytes = model.parameters, model.size_bytes
    charge = charges.of(resolved.architecture, resolved.training, resolved.rows, start_bytes)
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
        "requested": abridged(sent),
        "initial_parameters": start,
        "initial_model_id": model_id,
        "warnings": resolved.warnings,
        "memory_bytes": resolved.need.total,
        "multiply_adds": charge.multiply_adds,
        "kept_bytes": charge.kept_bytes,
        "status": State.QUEUED,
        "want": "run",
        "priority": asked.priority,
        "fence": 0,
        "lease_until": 0.0,
        "crashes": 0,
        "retries": 0,
        "event_count": 1,
        "epochs_completed": 0,
        "snapshot_count": 0,
    }
    held = line.make_room(session, principal.project_id, projects.by_default(settings))
    charges.take(session, principal.project_id, held, quotas.day_of(moment), charge)
    job = Job(**row)
    session.add(job)
    session.flush()
    events.insert(session, job_id, 1, [Entry("job.queued", "The job waits for a worker.")])
    events.subscribe(session, principal.project_id, job_id)
    database.announce(session)
    return job


def resolved_of(
    session: Session,
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: JobCreate,
) -> Resolved:
    """What was asked for, with nothing left to choose. Raises as `create` does, and writes nothing."""
    dataset = datasets.get(session, principal, asked.dataset_id, param="dataset_id")
    named = None
    if asked.training.split_id is not None:
        named = splits.get(session, principal, asked.training.split_id, param="training.split_id")
        asked = asked.model_copy(update={"training": shared.taken(asked, named, dataset.sha256)})
    model = None
    if asked.initial_model_id is not None:
        if asked.initial_parameters is not None:
            _refuse("initial_model_id", "Give initial_parameters or an initial_model_id, not both.")
        model = models.get(session, principal, asked.initial_model_id, param="initial_model_id")
    spec = asked.architecture if isinstance(asked.architecture, ArchitectureSpec) else None
    if asked.architecture_id is not None:
        if spec is not None:
            _refuse("architecture_id", "Give an architecture or an architecture_id, not both.")
        spec = architectures.spec(session, principal, asked.architecture_id)
    if spec is None and model is not None:
        spec = starts.spec_of(model)

    def table() -> Table:
        return content.table_of(database, blobs, settings.cache_dir, dataset.id, dataset.sha256)

    def survey(task: str, targets: list[str], training: dict[str, Any]) -> Rows:
        rows = table()
        split = content.split_of(rows, targets, task, training)
        faults: list[Fault] = []
        by_class = weights.resolve(rows, split, targets[0], training, faults)
        return Rows(len(split.train), len(split.validation), by_class, tuple(faults))

    weighted = weights.is_weighted(asked.training.model_dump())
    exactly = survey if weighted or dataset.row_count <= SPLIT_ROWS else None
    resolved = resolve(asked, dataset.columns, dataset.row_count, spec, settings, exactly)
    at_hand = content.cached_table(settings.cache_dir, dataset.sha256)
    if dataset.row_count <= SPLIT_ROWS or at_hand.exists():  # else a large one would be made anew for it
        parts = resolved.target, resolved.task, resolved.features, resolved.training
        resolved.warnings.extend(advice.of(table, dataset.sha256, *parts))
    if named is not None:
        shared.check_fit(named, resolved)
    if model is not None:
        starts.check_fit(session, blobs, model, resolved)
        classes = None
        if resolved.task == "classification":
            _, classes = class_codes(table().columns[resolved.target[0]])
        found = starts.differences(model, resolved, dataset.columns, classes)
        resolved.warnings.extend(asdict(each) for each in found)
        return replace(resolved, initial_model_id=model.id)
    return resolved


def _refuse(param: str, message: str) -> NoReturn:
    raise Invalid(message, Fault(param, "not_allowed", message))


def abridged(value: Any) -> Any:
    """The request, with long arrays as their shape and SHA-256."""
    if isinstance(value, dict):
        return {name: abridged(each) for name, each in value.items()}
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
        return [abridged(each) for each in value]
    return value
