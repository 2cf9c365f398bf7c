"""The line in which jobs wait: who is next, how many of a project may wait or run, how far off a turn is."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import TooManyJobs
from app.jobs.states import HELD, State
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage.columns import clock
from app.storage.declaring import core
from app.storage.scope import across
from app.storage.tables import Job, Project

NO_LIMIT = 2**62

FARTHEST = 1000
"""A place in the line is counted up to here, so that counting stays cheap."""

# The statements of the line, built once: building one anew costs ten times what running it does.
_jobs, _projects = core(Job), core(Project)
_head = _jobs.alias("head")
_at_head = _jobs.alias("at_head")
_waiting = _jobs.alias("waiting")

# A running job whose lease has run out is put back in the queue before anything is claimed, and so counts
# only where its row is locked, by somebody who is not gone. One that stops without a worker has no trainer.
_running = (
    sa.select(_jobs.c.project_id, sa.func.count().label("n"))
    .where(_jobs.c.status.in_(HELD), sa.or_(_jobs.c.status == State.RUNNING, _jobs.c.lease_until >= clock()))
    .group_by(_jobs.c.project_id)
    .subquery("running")
)
_n = sa.func.coalesce(_running.c.n, 0)
_room = sa.func.coalesce(_projects.c.max_running, sa.bindparam("max_running", type_=sa.BigInteger())) - _n

_first = (
    sa.select(_waiting.c.id)
    .where(_waiting.c.project_id == _projects.c.id, _waiting.c.status == State.QUEUED)
    .order_by(_waiting.c.priority.desc(), _waiting.c.id)
    .limit(1)
    .correlate(_projects)
    .scalar_subquery()
)
STARTABLE = (
    sa.select(_head.c.id)
    .select_from(_projects)
    .join(_head, _head.c.id == _first)
    .outerjoin(_running, _running.c.project_id == _projects.c.id)
    .where(_room > 0)
)
"""The first job of each project that may start one more. Within a project the order never depends on who
runs, so looking at these is enough, however many wait behind them."""
NEXT = STARTABLE.order_by(_head.c.priority.desc(), _n, _head.c.id).limit(1)


def room_by_default(max_running: int | None) -> int:
    """``max_running`` of the statements, from the setting."""
    return NO_LIMIT if max_running is None else max_running


def make_room(session: Session, project_id: str, default: Quotas) -> Quotas:
    """See to it that one more job of the project may wait; return its limits as they hold.

    Raises TooManyJobs where as many wait as may. On Postgres the project is locked until the transaction
    ends: call it behind every other lock, and only for a job that a client puts in the queue.
    """
    held = quotas.of(session, project_id, default, lock=True)
    most = held.max_queued
    if most is None:
        return held
    few = sa.select(_jobs.c.id).where(_jobs.c.project_id == project_id, _jobs.c.status == State.QUEUED)
    waiting = session.scalar(sa.select(sa.func.count()).select_from(few.limit(most).subquery())) or 0
    if waiting >= most:
        raise TooManyJobs(
            f"At most {most} jobs of this project may wait, and as many do. Cancel or pause some that wait, "
            "or try again when one has started."
        )
    return held


def _some(*conditions: sa.ColumnElement[bool], most: int | sa.BindParameter[int]) -> sa.ScalarSelect[int]:
    """How many jobs of a project wait under these conditions, counted up to ``most``."""
    queued = (_waiting.c.project_id == _projects.c.id, _waiting.c.status == State.QUEUED)
    few = sa.select(_waiting.c.id).where(*queued, *conditions).limit(most).correlate(_projects)
    return sa.select(sa.func.count()).select_from(few.subquery()).correlate(_projects).scalar_subquery()


_project = sa.bindparam("project", type_=sa.String())
_job = sa.bindparam("job", type_=sa.String())
_priority = sa.bindparam("priority", type_=sa.BigInteger())
_enough = sa.bindparam("enough", type_=sa.BigInteger())
_above = _some(_waiting.c.priority > _priority, most=FARTHEST)
_alike = _some(_waiting.c.priority == _priority, most=_enough)
_older = _some(_waiting.c.priority == _priority, _waiting.c.id < _job, most=_enough)
_counted = sa.select(
    _n.label("n"), _above.label("above"), _older.label("older"), _alike.label("alike"), _room
)
_joined = _projects.outerjoin(_running, _running.c.project_id == _projects.c.id)
OWN = _counted.select_from(_joined).where(_projects.c.id == _project)
OTHERS = _counted.select_from(_joined).where(
    _projects.c.id != _project,
    _room > 0,
    sa.exists()
    .where(
        _at_head.c.project_id == _projects.c.id,
        _at_head.c.status == State.QUEUED,
        _at_head.c.priority >= _priority,
    )
    .correlate(_projects),
)


def position(session: Session, job: Job, max_running: int | None) -> int | None:
    """How many jobs are claimed up to and with this one, as things stand; `FARTHEST`: that or more.

    None unless it waits. Of another project count only those that may start before one that runs ends.
    """
    if job.status != State.QUEUED:
        return None
    values = {
        "project": job.project_id,
        "job": job.id,
        "priority": job.priority,
        "max_running": room_by_default(max_running),
        "enough": FARTHEST,
    }
    with across(session):  # everybody waits in one line
        n, above, older, _, _ = session.execute(OWN, values).one()
        place: int = 1 + above + older
        if place < FARTHEST:
            turn = n + above + older  # the jobs that its project runs when it is the next of it
            for n, above, older, alike, room in session.execute(OTHERS, values | {"enough": turn + 1}):
                earlier = turn - n - above  # those of the same priority that are claimed with fewer running
                among = 0 if earlier < 0 else min(alike, earlier) + (1 if older > earlier else 0)
                place += min(room, above + among)
    return min(place, FARTHEST)
