"""What a job counts with against its project's quotas: first what it may take, in the end what it took."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.engine import leaves
from app.engine.network import Architecture
from app.jobs import keeping
from app.jobs.memory import Load
from app.projects import quotas
from app.projects.quotas import MOST_MULTIPLY_ADDS, Quotas
from app.storage.columns import now
from app.storage.declaring import core
from app.storage.tables import Blob, Job, Snapshot

_jobs, _blobs, _snapshots = core(Job), core(Blob), core(Snapshot)
_first = _blobs.alias("first")


def _all(table: sa.FromClause, size: sa.ColumnElement[int], *conditions: sa.ColumnElement[bool]) -> Any:
    summed = sa.cast(sa.func.coalesce(sa.func.sum(size), 0), sa.BigInteger)
    return sa.select(summed).select_from(table).where(*conditions).correlate(_jobs).scalar_subquery()


_contents = _snapshots.join(_blobs, _blobs.c.sha256 == _snapshots.c.content)
KEPT = _all(_contents, _blobs.c.size, _snapshots.c.job_id == _jobs.c.id) + _all(
    _first, _first.c.size, _first.c.sha256 == _jobs.c.initial_parameters
)
"""For an UPDATE of the job: the bytes of the snapshots that it has, and of the parameters it started from."""

COUNTED = sa.select(
    *(
        Job.project_id,
        sa.func.coalesce(Job.charged_at, Job.created_at).label("charged_at"),
        Job.multiply_adds,
    ),
    Job.training["epochs"].as_integer().label("epochs"),
).where(Job.id == sa.bindparam("job"))


class Charge(NamedTuple):
    """Multiply-adds of one epoch, how many epochs are still to be trained, and bytes that may be kept."""

    multiply_adds: int
    epochs: int
    kept_bytes: int


def multiply_adds(network: Architecture, rows: Load) -> int:
    """Of an epoch: each training row forwards and backwards, each validation row forwards."""
    trained: int = leaves.multiply_adds(network, rows.train)
    return trained + rows.validation * network.parameter_count


def of(network: dict[str, Any], training: dict[str, Any], rows: Load, start_bytes: int) -> Charge:
    """Of a resolved job; ``start_bytes`` are those of the parameters that it starts from, if it names any."""
    architecture = to_engine(network)
    kept = keeping.most_bytes(training, architecture.parameter_count)
    each = min(multiply_adds(architecture, rows), MOST_MULTIPLY_ADDS)
    return Charge(each, training["epochs"], start_bytes + kept)


def take(session: Session, project_id: str, held: Quotas, day: str, charge: Charge, kept: int = 0) -> None:
    """Let a job count; it counts with ``kept`` bytes already. The project is locked: see `line.make_room`.

    Raises QuotaReached or DailyQuotaReached.
    """
    quotas.admit_bytes(session, project_id, held, charge.kept_bytes - kept)
    quotas.charge(session, project_id, held, day, charge.multiply_adds * charge.epochs)


def take_again(session: Session, job: Job, held: Quotas) -> None:
    """Let one that had ended count from today on with what is left of it. Raises as `take` does."""
    count = to_engine(job.architecture).parameter_count
    left = job.training["epochs"] - job.epochs_completed
    charge = Charge(job.multiply_adds, left, job.kept_bytes + keeping.most_bytes(job.training, count))
    job.charged_at = now()
    take(session, job.project_id, held, quotas.day_of(job.charged_at), charge, job.kept_bytes)
    job.kept_bytes = charge.kept_bytes


def settle(session: Session, job_id: str, epochs: int) -> None:
    """In the transaction that ends a job: the epochs that it has not trained count no more.

    What it has trained still counts on the day on which it was submitted, or tried again. See `KEPT` for its
    bytes.
    """
    row = session.execute(COUNTED, {"job": job_id}).one()
    left = row.multiply_adds * max(0, row.epochs - epochs)
    quotas.give_back(session, row.project_id, quotas.day_of(row.charged_at), left)
