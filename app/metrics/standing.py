"""How things stand in the database: jobs, workers, webhooks, sizes. A look is cheap, whatever there is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.line import STARTABLE, room_by_default
from app.jobs.states import State
from app.jobs.workers import SILENT_SECONDS
from app.storage.columns import clock, now
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.scope import whole_server
from app.storage.service_tables import Webhook, WebhookCursor, Worker
from app.storage.tables import Event, Job

MOST_JOBS = 10_000
"""Jobs of a state are counted up to here, so that counting stays cheap."""

MOST_CURSORS = 2_000
"""Among so many places where webhooks stand we look for those that have something to send."""

MOST_WORKERS = 1_000
OPEN_STATES = (State.QUEUED, State.RUNNING, State.PAUSING, State.PAUSED, State.CANCELLING)

_jobs, _events, _workers = core(Job), core(Event), core(Worker)


def _count(state: State) -> sa.ScalarSelect[int]:
    few = sa.select(_jobs.c.status).where(_jobs.c.status == state).limit(MOST_JOBS)
    return sa.select(sa.func.count()).select_from(few.subquery()).scalar_subquery()


COUNTS = sa.select(*(_count(state).label(state.value) for state in OPEN_STATES))
# The last event of a job that waits is the one that has put it in the line.
_head = STARTABLE.subquery("startable")
OLDEST = (
    sa.select(sa.func.min(_events.c.created_at))
    .select_from(_head)
    .join(_jobs, _jobs.c.id == _head.c.id)
    .join(_events, sa.and_(_events.c.job_id == _jobs.c.id, _events.c.seq == _jobs.c.event_count))
)
SEEN = (
    sa.select(_workers.c.id, _workers.c.host, _workers.c.slots, _workers.c.busy, _workers.c.draining)
    .add_columns(_workers.c.counts)
    .where(sa.func.abs(clock() - _workers.c.seen_at) < SILENT_SECONDS)
    .order_by(_workers.c.id)
    .limit(MOST_WORKERS)
)
_cursors = sa.select(WebhookCursor).limit(MOST_CURSORS).subquery()
WAITING = (
    sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((_cursors.c.attempts > 0, 1), else_=0)), 0)
    )
    .select_from(_cursors)
    .join(_jobs, _jobs.c.id == _cursors.c.job_id)
    .join(Webhook, Webhook.id == _cursors.c.webhook_id)
    .where(_cursors.c.seq < _jobs.c.event_count, Webhook.disabled_because.is_(None))
)


class Standing(NamedTuple):
    """``oldest_seconds``: for how long the first in line has waited that might start, the longest of all
    projects; 0 when nobody waits. ``large_blob_bytes``: None where the database does not hold them.
    """

    jobs: dict[str, int]
    oldest_seconds: float
    workers: Sequence[sa.Row[Any]]
    webhooks_waiting: int
    webhooks_failing: int
    database_bytes: int
    log_bytes: int
    large_blob_bytes: int | None


def look(database: Database, max_running: int | None) -> Standing:
    """All of it, in one view of the database. Raises SQLAlchemyError when that is away."""
    with whole_server(), database.reading() as session:
        jobs = session.execute(COUNTS).one()._asdict()
        since = session.scalar(OLDEST, {"max_running": room_by_default(max_running)})
        waiting, failing = session.execute(WAITING).one()
        workers = session.execute(SEEN).all()
        sizes = _file_sizes(database) if database.is_sqlite else _sizes(session)
    oldest = 0.0 if since is None else max(0.0, (now() - since).total_seconds())
    return Standing(jobs, oldest, workers, waiting, int(failing), *sizes)


def _file_sizes(database: Database) -> tuple[int, int, None]:
    path = database.path
    if path is None:
        return 0, 0, None
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size, log.stat().st_size if log.exists() else 0, None


def _sizes(session: Session) -> tuple[int, int, int]:
    of_all = sa.func.pg_database_size(sa.func.current_database())
    of_chunks = sa.func.pg_total_relation_size("blob_chunks")
    size, chunks = session.execute(sa.select(of_all, of_chunks)).one()
    return size, 0, chunks
