"""The queue: one claim transaction, leases on the database's clock, a fence that grows with each claim."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import LeaseLost
from app.jobs import events
from app.jobs.events import Entry
from app.jobs.states import HELD, State
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Job, Worker

POISON = 3
"""A job that takes its trainer down this often without a new snapshot in between has failed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for a job, as long as ``fence`` is the job's newest."""

    job_id: str
    fence: int


def waiting(session: Session, clock: float) -> bool:
    """Whether `claim` would find something to do."""
    lapsed = sa.and_(Job.status.in_(HELD), Job.lease_until < clock)
    return session.scalar(sa.select(sa.exists().where(sa.or_(Job.status == State.QUEUED, lapsed)))) is True


def claim(database: Database, worker_id: str, slots: int, lease_seconds: float) -> list[Claim]:
    """Take up to ``slots`` jobs: by priority, then the project with the fewest running, then age."""
    with database.reading() as session:
        if not waiting(session, database.clock(session)):
            return []
    with database.writing() as session:
        database.claim_lock(session)
        clock = database.clock(session)
        _requeue_lapsed(session, clock)
        claims = []
        for _ in range(slots):
            taken = _take_next(session, worker_id, clock + lease_seconds)
            if taken is None:
                break
            claims.append(taken)
        database.announce(session)
    return claims


def _take_next(session: Session, worker_id: str, lease_until: float) -> Claim | None:
    running = (
        sa.select(Job.project_id, sa.func.count().label("n"))
        .where(Job.status.in_(HELD))
        .group_by(Job.project_id)
        .subquery()
    )
    job = session.execute(
        sa.select(Job.id, Job.fence, Job.started_at)
        .outerjoin(running, running.c.project_id == Job.project_id)
        .where(Job.status == State.QUEUED)
        .order_by(Job.priority.desc(), sa.func.coalesce(running.c.n, 0), Job.id)
        .limit(1)
    ).first()
    if job is None:
        return None
    moment = now()
    session.execute(
        sa.update(Job)
        .where(Job.id == job.id)
        .values(
            status=State.RUNNING,
            worker_id=worker_id,
            fence=job.fence + 1,
            lease_until=lease_until,
            started_at=job.started_at or moment,
        )
    )
    if job.started_at is None:
        events.append(session, job.id, [Entry("job.started", "A worker has taken the job.")])
    return Claim(job.id, job.fence + 1)


def heartbeat(
    database: Database, worker_id: str, claims: Sequence[Claim], lease_seconds: float
) -> dict[str, str]:
    """Renew the leases; return what is wanted of each job that is still ours, by its id."""
    with database.writing() as session:
        clock = database.clock(session)
        beat = sa.update(Worker).where(Worker.id == worker_id)
        session.execute(beat.values(seen_at=clock, busy=len(claims)))
        if not claims:
            return {}
        mine = sa.tuple_(Job.id, Job.fence).in_([(each.job_id, each.fence) for each in claims])
        renew = sa.update(Job).where(mine, Job.status.in_(HELD)).values(lease_until=clock + lease_seconds)
        rows = session.execute(renew.returning(Job.id, Job.want)).all()
        return dict(row.tuple() for row in rows)


def hold(session: Session, claim: Claim, **values: object) -> str:
    """Write to a job that we hold; return its state. Raises LeaseLost when the fence has moved on."""
    write = (
        sa.update(Job)
        .where(Job.id == claim.job_id, Job.fence == claim.fence, Job.status.in_(HELD))
        .values(**values or {"fence": claim.fence})
        .returning(Job.status)
    )
    state = session.scalar(write)
    if state is None:
        raise LeaseLost
    return state


def release(database: Database, claim: Claim, *, crashed: bool) -> None:
    """Give a job back after its trainer died or is going away; another may take it at once."""
    with database.writing() as session:
        job = session.scalar(
            sa.select(Job)
            .where(Job.id == claim.job_id, Job.fence == claim.fence, Job.status == State.RUNNING)
            .with_for_update()
        )
        if job is None:
            return
        _requeue(session, job, crashed=crashed)
        database.announce(session)


def free(database: Database, worker_id: str, *, crashed: bool) -> int:
    """End the leases of a worker that is dead or going away, and forget it; return how many it held."""
    with database.writing() as session:
        session.execute(sa.delete(Worker).where(Worker.id == worker_id))
        theirs = sa.select(Job).where(Job.worker_id == worker_id, Job.status.in_(HELD))
        held = session.scalars(theirs.with_for_update()).all()
        for job in held:
            if job.status == State.RUNNING:
                _requeue(session, job, crashed=crashed)
            else:
                job.lease_until = 0.0  # cancelling: whoever claims next ends it
        database.announce(session)
        return len(held)


def lapsed_cancellations(database: Database) -> list[Claim]:
    """Jobs that were being cancelled when their worker went away; each is ours to end."""
    with database.reading() as session:
        if not _lapsed(session, State.CANCELLING, database.clock(session)):
            return []
    with database.writing() as session:
        database.claim_lock(session)
        clock = database.clock(session)
        claims = []
        for job in _lapsed(session, State.CANCELLING, clock):
            job.fence += 1
            job.lease_until = clock + 60.0
            claims.append(Claim(job.id, job.fence))
        return claims


def _lapsed(session: Session, state: State, clock: float) -> Sequence[Job]:
    lapsed = sa.select(Job).where(Job.status == state, Job.lease_until < clock)
    return session.scalars(lapsed.with_for_update()).all()


def _requeue_lapsed(session: Session, clock: float) -> None:
    for job in _lapsed(session, State.RUNNING, clock):
        _requeue(session, job, crashed=True)


def _requeue(session: Session, job: Job, *, crashed: bool) -> None:
    job.worker_id = None
    job.lease_until = 0.0
    job.crashes += 1 if crashed else 0
    if job.crashes >= POISON:
        message = f"The job took its trainer down {POISON} times without getting any further."
        job.status, job.finished_at = State.FAILED, now()
        job.error = {"code": "crashed_worker", "message": message, "param": None}
        entry = Entry("job.failed", message, {"error": job.error}, "error")
    else:
        job.status = State.QUEUED
        word = "was lost" if crashed else "is shutting down"
        entry = Entry("job.recovered", f"Its worker {word}; the job goes on from its last snapshot.")
    session.flush()
    events.append(session, job.id, [entry])
