"""Batches as clients see them. Who works at them is in `runner`."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.batches import charges
from app.batches.line import WAITING
from app.batches.schemas import BatchCreate
from app.datasets import service as datasets
from app.errors import Conflict, TooManyJobs
from app.keys.service import Principal
from app.models import service as models
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage import lookup
from app.storage.columns import new_id, now
from app.storage.tables import Batch

MOST_WAITING = 100
"""Of one project."""


def create(session: Session, principal: Principal, asked: BatchCreate, default: Quotas) -> Batch:
    """A batch that waits for its turn; ``default``: the limits of projects that have none of their own.

    Raises NotFound, Conflict, TooManyJobs, QuotaReached, or DailyQuotaReached.
    """
    model = models.get(session, principal, asked.model_id)
    dataset = datasets.get(session, principal, asked.dataset_id)
    if dataset.status != "ready":
        raise Conflict(f"The dataset is {dataset.status}.", allowed=("read",))
    held = quotas.of(session, principal.project_id, default, lock=True)
    mine = Batch.project_id == principal.project_id
    waiting = sa.select(sa.func.count()).where(mine, Batch.status.in_(WAITING))
    if (session.scalar(waiting) or 0) >= MOST_WAITING:
        raise TooManyJobs(f"{MOST_WAITING} batches of this project wait, the most of one project.")
    batch = Batch(
        id=new_id("bat"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        model_id=model.id,
        dataset_id=dataset.id,
        status="queued",
        row_count=dataset.row_count,
        completed=0,
        attempts=0,
        fence=0,
        lease_until=0.0,
        warnings=[],
    )
    session.add(batch)
    session.flush()
    charges.take(session, batch, model.parameter_count, held)
    return batch


def get(session: Session, principal: Principal, batch_id: str, *, lock: bool = False) -> Batch:
    return lookup.get(session, Batch, principal.project_id, batch_id, "batch_id", lock=lock)


def cancel(session: Session, principal: Principal, batch_id: str) -> Batch:
    """End it now: whoever works at it can write no more. Raises Conflict where it has ended otherwise."""
    batch = get(session, principal, batch_id, lock=True)
    if batch.status in WAITING:
        batch.status, batch.finished_at = "cancelled", now()
        charges.settle(session, batch)
    elif batch.status != "cancelled":
        raise Conflict(f"The batch has {batch.status}.", allowed=("delete",))
    return batch


def delete(session: Session, principal: Principal, batch_id: str) -> None:
    """Delete one that has ended; the dataset that came of it stays. Raises Conflict."""
    batch = get(session, principal, batch_id, lock=True)
    if batch.status in WAITING:
        raise Conflict(f"The batch is {batch.status}.", allowed=("cancel",))
    session.delete(batch)


def answer(batch: Batch) -> dict[str, Any]:
    """The batch as clients see it."""
    return {
        "id": batch.id,
        "created_at": batch.created_at,
        "created_by": batch.created_by,
        "name": batch.name,
        "metadata": batch.labels,
        "status": batch.status,
        "model_id": batch.model_id,
        "dataset_id": batch.dataset_id,
        "progress": {"completed": batch.completed, "total": batch.row_count},
        "result_dataset_id": batch.result_dataset_id,
        "warnings": batch.warnings,
        "error": batch.error,
        "started_at": batch.started_at,
        "finished_at": batch.finished_at,
    }
