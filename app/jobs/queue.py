"""The queue: one claim transaction, leases on the database's clock, a fence that grows with each claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import LeaseLost
from app.jobs import charges, events
from app.jobs.events import Entry
from app.jobs.line import NEXT, STARTABLE, room_by_default
from app.jobs.states import HELD, STOPPING, State
from app.storage.columns import UtcDateTime, clock, now
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Event, Job, Snapshot, Worker

POISON = 3
"""A job that takes its trainer down this often without a new snapshot in between has failed."""

LONGEST_LEASE = 600.0
"""As ``CHAINRULE_LEASE_SECONDS`` allows it."""

STOP_SECONDS = 60.0
"""Time to stop a job at its last snapshot in place of a worker that has gone."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for a job, as long as ``fence`` is the job's newest.

    ``recovered``: another worker had it, and was lost.
    """

    job_id: str
    fence: int
    recovered: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker must know of a job before it writes to it."""

    status: str
    want: str
    model_id: str | None
    epochs_completed: int
    event_count: int
    snapshot: str | None


# The statements of the queue, built once: building one anew costs ten times what running it does.
_jobs, _snapshots, _workers, _events = core(Job), core(Snapshot), core(Worker), core(Event)
# The end of a lease further away than any lease is long was set before the database's clock was put back.
_over = sa.or_(_jobs.c.lease_until < clock(), _jobs.c.lease_until > clock() + LONGEST_LEASE + 1)
_lapsed = sa.and_(_jobs.c.status == State.RUNNING, _over)
WAITING = sa.select(sa.or_(STARTABLE.exists(), sa.exists().where(_lapsed)))
TAKE = (
    sa.update(_jobs)
    # The state once more: Postgres looks at a row again after it has waited for one who cancels it.
    .where(_jobs.c.id == NEXT.scalar_subquery(), _jobs.c.status == State.QUEUED)
    .values(
        status=State.RUNNING,
        worker_id=sa.bindparam("worker"),
        fence=_jobs.c.fence + 1,
        lease_until=clock() + sa.bindparam("lease", type_=sa.Double()),
        started_at=sa.func.coalesce(_jobs.c.started_at, sa.bindparam("moment", type_=UtcDateTime())),
        event_count=_jobs.c.event_count + 1,
    )
    .returning(_jobs.c.id, _jobs.c.fence, _jobs.c.event_count)
)
# One that is to go on already must stop first: nobody knows whether its trainer has heard of the pause.
_wish = sa.case((_jobs.c.status == State.PAUSING, "pause"), else_=_jobs.c.want).label("want")
BEAT = (
    sa.update(_workers)
    .where(_workers.c.id == sa.bindparam("worker"))
    .values(seen_at=clock(), busy=sa.bindparam("busy_slots"), counts=sa.bindparam("so_far", type_=sa.JSON()))
)
RENEW = (
    sa.update(_jobs)
    .where(
        sa.tuple_(_jobs.c.id, _jobs.c.fence).in_(sa.bindparam("claims", expanding=True)),
        _jobs.c.status.in_(HELD),
    )
    .values(lease_until=clock() + sa.bindparam("lease", type_=sa.Double()))
    .returning(_jobs.c.id, _wish)
)
HOLD = (
    sa.select(
        *(_jobs.c.status, _jobs.c.want, _jobs.c.model_id, _jobs.c.epochs_completed, _jobs.c.event_count),
        _snapshots.c.content,
    )
    .outerjoin(
        _snapshots,
        sa.and_(_snapshots.c.job_id == _jobs.c.id, _snapshots.c.number == _jobs.c.snapshot_count),
    )
    .where(
        _jobs.c.id == sa.bindparam("job"),
        _jobs.c.fence == sa.bindparam("fence"),
        _jobs.c.status.in_(HELD),
    )
    .with_for_update(of=_jobs)
)
WISHES = sa.select(_jobs.c.id, _wish).where(
    sa.tuple_(_jobs.c.id, _jobs.c.fence).in_(sa.bindparam("claims", expanding=True))
)


BEFORE = sa.select(_events.c.type).where(
    _events.c.job_id == sa.bindparam("job"), _events.c.seq == sa.bindparam("seq")
)


def claim(
    database: Database, worker_id: str, slots: int, lease_seconds: float, max_running: int | None = None
) -> list[Claim]:
    """Take up to ``slots`` jobs: by priority, then the project with the fewest running, then age.

    No project gets more than its own limit of running jobs, or ``max_running`` where it has none.
    """
    room = {"max_running": room_by_default(max_running)}
    with database.reading() as session:
        if not session.scalar(WAITING, room):
            return []
    with database.writing() as session:
        database.claim_lock(session)
        silent = session.scalars(LAPSED, {"states": [State.RUNNING]}).all()
        lapsed = [job for job in silent if job.worker_id != worker_id]  # our own: the next beat renews them
        for job in lapsed:
            _requeue(session, job, lost=True, crashed=False)  # a worker's silence is not the job's fault
        claims: list[Claim] = []
        while len(claims) < slots and (taken := _take(session, worker_id, lease_seconds, room)):
            claims.append(taken)
        if lapsed or claims:
            database.announce(session)
    return claims


def _take(session: Session, worker_id: str, lease_seconds: float, room: dict[str, int]) -> Claim | None:
    values = {"worker": worker_id, "lease": lease_seconds, "moment": now(), **room}
    taken = session.execute(TAKE, values).first()
    if taken is None:
        return None
    entry = Entry("job.started", "A worker has taken the job.")
    recovered = False
    if taken.fence > 1:
        before = session.scalar(BEFORE, {"job": taken.id, "seq": taken.event_count - 1})
        recovered = before not in ("job.queued", "job.resumed")
        message = "A worker goes on with the job, from its last snapshot."
        entry = Entry("job.recovered" if recovered else "job.started", message)
    events.insert(session, taken.id, taken.event_count, [entry])
    return Claim(taken.id, taken.fence, recovered)


def heartbeat(
    database: Database,
    worker_id: str,
    claims: Sequence[Claim],
    lease_seconds: float,
    described: Mapping[str, object] | None = None,
    counts: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """Renew the leases; return what is wanted of each job that is still ours, by its id.

    ``described`` are the other columns of the worker's row, for when there is none, or none any more;
    ``counts`` what the worker has done since it started.
    """
    so_far = dict(counts or {})
    with database.writing() as session:
        beat = session.execute(BEAT, {"worker": worker_id, "busy_slots": len(claims), "so_far": so_far})
        if described is not None and not cast("sa.CursorResult[Any]", beat).rowcount:
            row = {"id": worker_id, "busy": len(claims), "draining": False, "seen_at": clock()}
            row |= {"counts": so_far}
            session.execute(sa.insert(Worker).values(row | {**described}))
        if not claims:
            return {}
        rows = session.execute(RENEW, {"claims": _pairs(claims), "lease": lease_seconds})
        return {row.id: row.want for row in rows}


def wishes(database: Database, claims: Sequence[Claim]) -> dict[str, str]:
    """What is wanted of each job that is still ours, by its id."""
    with database.reading() as session:
        return {row.id: row.want for row in session.execute(WISHES, {"claims": _pairs(claims)})}


def _pairs(claims: Sequence[Claim]) -> list[tuple[str, int]]:
    return [(each.job_id, each.fence) for each in claims]


def hold(session: Session, claim: Claim) -> Held:
    """Lock a job that we hold until the transaction ends. Raises LeaseLost when the fence has moved on."""
    row = session.execute(HOLD, {"job": claim.job_id, "fence": claim.fence}).first()
    if row is None:
        raise LeaseLost
    return Held(*row)


def release(database: Database, claim: Claim, *, crashed: bool) -> None:
    """Give a job back after its trainer died or is going away; another may take it at once."""
    with database.writing() as session:
        job = session.scalar(
            sa.select(Job)
            .where(Job.id == claim.job_id, Job.fence == claim.fence, Job.status.in_(HELD))
            .with_for_update()
        )
        if job is not None:
            _give_up(session, job, lost=crashed, crashed=crashed)
            database.announce(session)


def free(database: Database, worker_id: str, *, crashed: bool) -> int:
    """End the leases of a worker that is dead or going away, and forget it; return how many it held."""
    with database.writing() as session:
        session.execute(sa.delete(Worker).where(Worker.id == worker_id))
        theirs = sa.select(Job).where(Job.worker_id == worker_id, Job.status.in_(HELD))
        held = session.scalars(theirs.with_for_update()).all()
        for job in held:
            _give_up(session, job, lost=crashed, crashed=crashed)
        database.announce(session)
        return len(held)


def give_back_strays(database: Database, worker_id: str, claims: Sequence[Claim]) -> None:
    """End the leases that a worker has without knowing of them: of a claim whose COMMIT was not answered.

    ``claims`` are those that it knows of.
    """
    known = sa.tuple_(Job.id, Job.fence).in_(_pairs(claims))
    theirs = sa.select(Job).where(Job.worker_id == worker_id, Job.status.in_(HELD), ~known)
    with database.writing() as session:
        for job in session.scalars(theirs.with_for_update()).all():
            _give_up(session, job, lost=False, crashed=False)
            database.announce(session)


def lapsed_stops(database: Database, worker_id: str) -> list[Claim]:
    """Jobs that are to stop and have no worker, or lost theirs; each is ours to stop at its last snapshot."""
    with database.reading() as session:
        if not session.scalar(STOPS_LAPSED):
            return []
    with database.writing() as session:
        database.claim_lock(session)
        claims = []
        for job in session.scalars(LAPSED, {"states": STOPPING}).all():
            job.worker_id, job.fence = worker_id, job.fence + 1
            job.lease_until = clock() + STOP_SECONDS
            claims.append(Claim(job.id, job.fence))
        return claims


STOPS_LAPSED = sa.select(sa.exists().where(sa.and_(_jobs.c.status.in_(STOPPING), _over)))
LAPSED = (
    sa.select(Job)
    .where(Job.status.in_(sa.bindparam("states", expanding=True)), _over)
    .with_for_update(skip_locked=True)  # one who was stopped in a transaction must not stop everybody
)


def _give_up(session: Session, job: Job, *, lost: bool, crashed: bool) -> None:
    if job.status == State.RUNNING:
        _requeue(session, job, lost=lost, crashed=crashed)
    else:
        job.lease_until = 0.0  # it is to stop: whoever looks next sees to that


def _requeue(session: Session, job: Job, *, lost: bool, crashed: bool) -> None:
    """``crashed`` counts towards `POISON`; a ``lost`` worker is worth a warning."""
    job.worker_id = None
    job.lease_until = 0.0
    job.crashes += 1 if crashed else 0
    if job.crashes >= POISON:
        message = f"The job took its trainer down {POISON} times without getting any further."
        job.status, job.finished_at = State.FAILED, now()
        job.error = {"code": "crashed_worker", "message": message, "param": None}
        job.kept_bytes = charges.KEPT
        charges.settle(session, job.id, job.epochs_completed)
        entry = Entry("job.failed", message, {"error": job.error}, "error")
    else:
        job.status = State.QUEUED
        entry = Entry("job.warning", "The job's worker was lost.", level="warning")
    session.flush()
    if lost:
        events.append(session, job.id, [entry])
