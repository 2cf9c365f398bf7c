"""The promises that a database keeps or breaks by itself: jobs at rest, whole histories, logs and chains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.jobs import ledger, snapshots
from app.jobs.history import RECOMPUTED
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.sweep import GRACE_SECONDS
from app.storage.tables import Epoch, Event, Job, Model, Snapshot
from tests.support import storage

TERMINAL = ("succeeded", "failed", "cancelled")
ENDINGS = tuple(f"job.{status}" for status in TERMINAL)
AT_REST = (*TERMINAL, "paused")


@dataclass(frozen=True, slots=True)
class Control:
    """What an undisturbed run of a job came to: it holds for every job with the same request."""

    status: str
    result: dict[str, Any] | None
    sha256: str | None
    rows: list[tuple[Any, ...]]
    kept: list[tuple[Any, ...]]
    """Epoch, step and parameters of each snapshot that stays."""


def in_database(
    database: Database,
    blobs: Blobs,
    controls: Mapping[str, Control] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Iterator[str]:
    """The violations that need no server to be seen."""
    yield from storage.damage(database)
    yield from storage.lost_or_left(database, blobs, grace_seconds)
    with database.reading() as session:
        for job in session.scalars(sa.select(Job).order_by(Job.id)).all():
            for each in (_at_rest, _epochs, _log, _model, _chain):
                yield from (f"{job.id} ({job.status}): {line}" for line in each(session, job))
            yield from (f"{job.id} ({job.status}): {line}" for line in _snapshots(session, blobs, job))
            control = (controls or {}).get(job.id)
            if control is not None:
                yield from (
                    f"{job.id} ({job.status}): {line}" for line in _differences(session, job, control)
                )


def _at_rest(_session: Session, job: Job) -> Iterator[str]:
    if job.status not in AT_REST:
        yield f"stuck at epoch {job.epochs_completed}, fence {job.fence}"
    elif job.worker_id is not None or job.lease_until:
        yield f"still leased, to {job.worker_id} until {job.lease_until}"
    if (job.status in TERMINAL) != (job.finished_at is not None):
        yield f"finished_at is {job.finished_at}"
    if job.status == "failed" and job.error is None:
        yield "failed without an error"


def _epochs(session: Session, job: Job) -> Iterator[str]:
    """Rows 1 … N and no others; the primary key keeps each from being there twice."""
    numbers = sa.select(sa.func.count(), sa.func.min(Epoch.epoch), sa.func.max(Epoch.epoch))
    rows, first, last = session.execute(numbers.where(Epoch.job_id == job.id)).one()
    if rows and (first, last) != (1, rows):
        yield f"has {rows} epochs, from {first} to {last}"
    if rows != job.epochs_completed:
        yield f"has {rows} epochs, and counts {job.epochs_completed}"
    if job.result is not None and job.status in TERMINAL and job.result["epochs"] != rows:
        yield f"has {rows} epochs, and its result says {job.result['epochs']}"
    went_on = (job.result or {}).get("stop_reason") == "epochs_completed"
    if went_on and rows != job.training["epochs"]:
        yield f"has {rows} epochs of {job.training['epochs']}"


def _log(session: Session, job: Job) -> Iterator[str]:
    columns = (Event.seq, Event.id, Event.type, Event.message, Event.data)
    log = session.execute(sa.select(*columns).where(Event.job_id == job.id).order_by(Event.seq)).all()
    if [event.seq for event in log] != list(range(1, len(log) + 1)):
        yield f"has events {[event.seq for event in log]}"
    if len(log) != job.event_count:
        yield f"has {len(log)} events, and counts {job.event_count}"
    if len({event.id for event in log}) != len(log):
        yield "has two events with one id"
    spans = [event.data for event in log if event.type == "job.epoch"]
    told = [epoch for each in spans for epoch in range(each["first_epoch"], each["last_epoch"] + 1)]
    if told != list(range(1, job.epochs_completed + 1)):
        yield f"has told epochs {briefly(told)} of {job.epochs_completed}"
    ends = [event.type for event in log if event.type in ENDINGS]
    expected = ["job.failed"] * job.retries + [f"job.{job.status}"] * (job.status in TERMINAL)
    if ends != expected:
        yield f"has the endings {ends} after {job.retries} retries"
    if not log or (job.status in AT_REST and log[-1].type != f"job.{job.status}"):
        yield f"its log ends with {log[-1].type if log else 'nothing'}"
    yield from (f"event {event.seq}: {event.message}" for event in log if "differently" in event.message)


def _model(session: Session, job: Job) -> Iterator[str]:
    if job.status == "succeeded" and job.model_id is None:
        yield "has no model"


def _chain(session: Session, job: Job) -> Iterator[str]:
    broken = ledger.verify(session, job.id)
    if broken is not None:
        yield f"snapshot {broken} breaks the chain"


def _snapshots(session: Session, blobs: Blobs, job: Job) -> Iterator[str]:
    """Every snapshot that still has its content has the parameters that its row names."""
    found = sa.select(Snapshot).where(Snapshot.job_id == job.id, Snapshot.content.is_not(None))
    for each in session.scalars(found).all():
        assert each.content is not None
        try:
            content = blobs.read(session, each.content)
        except Exception as error:
            yield f"snapshot {each.number} cannot be read: {error!r}"
            continue
        architecture = to_engine(job.architecture)
        if snapshots.parameters_of(architecture, content).sha256() != each.parameters_sha256:
            yield f"snapshot {each.number} holds other parameters than its row says"


def outcome(session: Session, job: Job) -> Control:
    found = session.scalars(sa.select(Epoch).where(Epoch.job_id == job.id).order_by(Epoch.epoch))
    rows = [(row.epoch, *(getattr(row, name) for name in RECOMPUTED)) for row in found]
    model = None if job.model_id is None else session.get(Model, job.model_id)
    columns = Snapshot.epoch, Snapshot.step, Snapshot.parameters_sha256
    kept = sa.select(*columns).where(Snapshot.job_id == job.id, Snapshot.kept).order_by(Snapshot.number)
    snapshots = [tuple(row) for row in session.execute(kept)]
    return Control(job.status, job.result, None if model is None else model.sha256, rows, snapshots)


def _differences(session: Session, job: Job, control: Control) -> Iterator[str]:
    ours = outcome(session, job)
    for name in ("status", "result", "sha256", "kept"):
        there, here = getattr(control, name), getattr(ours, name)
        if here != there:
            why = f" ({job.error['code']})" if name == "status" and job.error else ""
            yield f"{name} is {here}{why}, and undisturbed {there}"
    if ours.rows != control.rows:
        pairs = zip(ours.rows, control.rows, strict=False)
        first = next((mine for mine, theirs in pairs if mine != theirs), ("the number of rows",))
        yield f"its history differs from an undisturbed one from epoch {first[0]} on"


def briefly(numbers: list[int]) -> str:
    return str(numbers) if len(numbers) <= 12 else f"{numbers[:6]} … {numbers[-6:]} ({len(numbers)})"
