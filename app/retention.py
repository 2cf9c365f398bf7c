"""What is older than the operator keeps goes: ended jobs, models without an alias, datasets that nobody uses.

Nothing goes unless a setting says so. Each goes in a transaction of its own, by the same rules as when a
client deletes it, and the log says that it was the server.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

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
SECONDS = 0.5
"""Each time: who keeps house has more to do, and others have to write, too."""

Delete = Callable[[Session, Blobs, Principal, str], None]
Old = Callable[[datetime], sa.ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days each is kept; None: for ever."""

    jobs_days: float | None = None
    models_days: float | None = None
    datasets_days: float | None = None


class Swept(NamedTuple):
    """How many of each kind were deleted; ``all_gone``: nothing that is too old is left."""

    counts: dict[str, int]
    all_gone: bool


def sweep(blobs: Blobs, keep: Keep) -> Swept:
    """Delete what is too old, for as long as `SECONDS`, and at least one object."""
    kinds: tuple[tuple[type[Any], float | None, Old, Delete], ...] = (
        (Job, keep.jobs_days, _old_job, jobs.delete),
        (Model, keep.models_days, _old_model, models.delete),
        (Dataset, keep.datasets_days, _old_dataset, datasets.delete),
    )
    until, counts, all_gone = time.monotonic() + SECONDS, {}, True
    for table, days, old, delete in kinds:
        if days is not None and all_gone:
            too_old = old(now() - timedelta(days=days))
            counts[table.__tablename__], all_gone = _sweep(blobs, table, too_old, delete, until)
    if any(counts.values()):
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        log.info("deleted for their age: %s", told)
    return Swept(counts, all_gone)


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
    blobs: Blobs, table: type[Any], old: sa.ColumnElement[bool], delete: Delete, until: float
) -> tuple[int, bool]:
    deleted, after = 0, ""
    while True:
        few = (
            sa.select(table.id, table.project_id)
            .where(table.id > after, old)
            .order_by(table.id)
            .limit(AT_ONCE)
        )
        with blobs.database.reading() as session:
            found = session.execute(few).all()
        for object_id, project_id in found:
            if deleted and time.monotonic() > until:
                return deleted, False
            deleted += _delete(blobs, table, object_id, project_id, old, delete)
        if len(found) < AT_ONCE:
            return deleted, True
        after = found[-1].id


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
