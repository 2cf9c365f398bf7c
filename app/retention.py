"""What is older than the operator keeps goes: ended jobs, models without an alias, datasets that nobody uses.

Nothing goes unless a setting says so. Each goes in a transaction of its own, by the same rules as when a
client deletes it, and the log says that it was the server.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.acting import SERVER, Act, acting
from app.datasets import service as datasets
from app.errors import Conflict, NotFound
from app.jobs import service as jobs
from app.jobs.states import TERMINAL
from app.keys.service import Principal
from app.models import service as models
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.tables import Alias, Dataset, Job, Model

log = logging.getLogger(__name__)

AT_ONCE = 100
MOST = 2_000
"""Of a kind, each time: what is left of very many goes the next time."""

Delete = Callable[[Session, Blobs, Principal, str], None]


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days each is kept; None: for ever."""

    jobs_days: float | None = None
    models_days: float | None = None
    datasets_days: float | None = None


def sweep(blobs: Blobs, keep: Keep, over: threading.Event) -> dict[str, int]:
    """Delete what is too old; how many of each kind. Stops early when it is ``over``."""
    kinds: tuple[
        tuple[type[Any], float | None, Callable[[datetime], sa.ColumnElement[bool]], Delete], ...
    ] = (
        (Job, keep.jobs_days, _old_job, jobs.delete),
        (Model, keep.models_days, _old_model, models.delete),
        (Dataset, keep.datasets_days, _old_dataset, datasets.delete),
    )
    counts = {
        table.__tablename__: _sweep(blobs, table, old(now() - timedelta(days=days)), delete, over)
        for table, days, old, delete in kinds
        if days is not None
    }
    if any(counts.values()):
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        log.info("deleted for their age: %s", told)
    return counts


def _old_job(until: datetime) -> sa.ColumnElement[bool]:
    """One whose model has an alias says where that comes from, and stays as long as that does."""
    aliased = sa.exists().where(Model.job_id == Job.id, Alias.model_id == Model.id)
    return sa.and_(Job.status.in_(TERMINAL), Job.finished_at < until, ~aliased)


def _old_model(until: datetime) -> sa.ColumnElement[bool]:
    aliased = sa.exists().where(Alias.model_id == Model.id)
    goes_on = sa.exists().where(Job.id == Model.job_id, Job.status.not_in(TERMINAL))
    return sa.and_(Model.created_at < until, ~aliased, ~goes_on)


def _old_dataset(until: datetime) -> sa.ColumnElement[bool]:
    """Jobs that have been deleted used it, too."""
    in_use = sa.or_(Job.status.not_in(TERMINAL), Job.finished_at >= until)
    used = sa.exists().where(Job.dataset_id == Dataset.id, in_use)
    unused = sa.or_(Dataset.last_used_at.is_(None), Dataset.last_used_at < until)
    return sa.and_(Dataset.created_at < until, Dataset.shared.is_(False), unused, ~used)


def _sweep(
    blobs: Blobs, table: type[Any], old: sa.ColumnElement[bool], delete: Delete, over: threading.Event
) -> int:
    deleted, after = 0, ""
    while deleted < MOST:
        few = (
            sa.select(table.id, table.project_id)
            .where(table.id > after, old)
            .order_by(table.id)
            .limit(AT_ONCE)
        )
        with blobs.database.reading() as session:
            found = session.execute(few).all()
        for object_id, project_id in found:
            if over.is_set():
                return deleted
            deleted += _delete(blobs, table, object_id, project_id, old, delete)
        if len(found) < AT_ONCE:
            return deleted
        after = found[-1].id
    return deleted


def _delete(
    blobs: Blobs,
    table: type[Any],
    object_id: str,
    project_id: str,
    old: sa.ColumnElement[bool],
    delete: Delete,
) -> bool:
    act = Act("delete", table.__tablename__, SERVER, project_id, object_id=object_id)
    still = sa.select(table.id).where(table.id == object_id, old).with_for_update(of=table)
    try:
        with acting(act), blobs.database.writing() as session:
            if session.scalar(still) is None:  # it was tried again, or named, in between
                return False
            delete(session, blobs, Principal(SERVER, project_id, "admin"), object_id)
            return True
    except (Conflict, NotFound):
        return False
