"""Jobs and what they leave: whole histories and logs, chains of snapshots, and models with their hashes."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.checks.finding import ASK, DATABASE, FROM_A_BACKUP, Finding
from app.engine import Parameters
from app.jobs import ledger, snapshots
from app.jobs.states import TERMINAL
from app.models import parameters as codec
from app.storage.blobs import Blobs
from app.storage.tables import Dataset, Epoch, Event, Job, Model, Snapshot

JOBS = sa.select(
    *(Job.id, Job.status, Job.epochs_completed, Job.event_count, Job.snapshot_count, Job.architecture),
    *(Job.result, Job.error, Job.finished_at),
).order_by(Job.id)
LOST = (
    sa.select(Job.id, Job.status, Job.dataset_id)
    .where(Job.status.not_in(TERMINAL), ~sa.exists().where(Dataset.id == Job.dataset_id))
    .order_by(Job.id),
    sa.select(Job.id, Job.status, Job.model_id)
    .where(Job.model_id.is_not(None), ~sa.exists().where(Model.id == Job.model_id))
    .order_by(Job.id),
)
"""What jobs name, but no foreign key holds: finished ones outlive their dataset."""
KEPT = sa.select(Snapshot).where(Snapshot.content.is_not(None)).order_by(Snapshot.number)


def jobs(session: Session, blobs: Blobs, damaged: set[str]) -> Iterator[Finding]:
    """``damaged`` blobs are told of already."""
    for query in LOST:
        for job_id, status, named in session.execute(query):
            yield Finding(f"{job_id} ({status}) names {named}, which does not exist.", FROM_A_BACKUP)
    epochs, events = _ranges(session, Epoch, Epoch.epoch), _ranges(session, Event, Event.seq)
    for job in session.execute(JOBS).all():
        for what in (
            *_numbered("epochs", epochs.get(job.id), job.epochs_completed),
            *_numbered("events", events.get(job.id), job.event_count),
            *_ended(job),
        ):
            yield Finding(f"{job.id} ({job.status}) {what}.", DATABASE)
        broken = ledger.verify(session, job.id)
        if broken is not None:
            what = f"{job.id} ({job.status}): its chain of snapshots is broken at number {broken}."
            yield Finding(what, FROM_A_BACKUP)
        yield from _snapshots(session, blobs, damaged, job)


def models(session: Session, blobs: Blobs, damaged: set[str]) -> Iterator[Finding]:
    columns = (Model.id, Model.architecture, Model.parameters, Model.sha256)
    for model in session.execute(sa.select(*columns).order_by(Model.id)).all():
        if model.parameters in damaged:
            continue
        network = to_engine(model.architecture)
        found = _hash(
            lambda content, of=network: codec.load(of, content), blobs.read(session, model.parameters)
        )
        if found != model.sha256:
            yield Finding(f"{model.id} has other parameters than its hash says.", FROM_A_BACKUP)


def _ranges(session: Session, table: Any, number: Any) -> dict[str, tuple[int, int, int]]:
    """By job: how many rows, the first number and the last."""
    columns = (table.job_id, sa.func.count(), sa.func.min(number), sa.func.max(number))
    return {job: (count, first, last) for job, count, first, last in session.execute(
        sa.select(*columns).group_by(table.job_id)
    )}  # fmt: skip


def _numbered(noun: str, found: tuple[int, int, int] | None, counted: int) -> Iterator[str]:
    count, first, last = found or (0, 1, 0)
    if (first, last) != (1, count):
        yield f"has {count} {noun}, numbered from {first} to {last}"
    if count != counted:
        yield f"has {count} {noun}, and counts {counted}"


def _ended(job: Any) -> Iterator[str]:
    if (job.status in TERMINAL) != (job.finished_at is not None):
        yield (
            "has ended without a time" if job.finished_at is None else "has not ended, but has a time for it"
        )
    if job.status == "failed" and job.error is None:
        yield "has failed without a reason"
    if job.status in TERMINAL and job.result is not None and job.result["epochs"] != job.epochs_completed:
        yield f"counts {job.epochs_completed} epochs, and its result says {job.result['epochs']}"


def _snapshots(session: Session, blobs: Blobs, damaged: set[str], job: Any) -> Iterator[Finding]:
    kept = session.scalars(KEPT.where(Snapshot.job_id == job.id)).all()
    if (
        job.status not in TERMINAL
        and job.snapshot_count
        and job.snapshot_count not in {s.number for s in kept}
    ):
        yield Finding(f"{job.id} ({job.status}) has lost the snapshot that it goes on from.", FROM_A_BACKUP)
    for each in kept:
        assert each.content is not None
        if each.content in damaged:
            continue
        network = to_engine(job.architecture)
        content = blobs.read(session, each.content)
        found = _hash(lambda content, of=network: snapshots.parameters_of(of, content), content)
        if found != each.parameters_sha256:
            what = f"Snapshot {each.number} of {job.id} has other parameters than its row says."
            yield Finding(what, ASK)
    session.expunge_all()


def _hash(load: Any, content: bytes) -> str | None:
    """Of the parameters; None where they cannot be read at all."""
    try:
        found: Parameters = load(content)
        return found.sha256()
    except Exception:
        return None
