"""Pauses of the server's own, for want of room on a disk, and their end when there is room."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import events, queue
from app.jobs.events import Entry
from app.jobs.queue import Claim
from app.jobs.states import State
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Job

DISK_FULL = "disk_full"

_because = Job.paused_because["code"].as_string() == DISK_FULL
HELD_UP = sa.and_(Job.status == State.PAUSED, _because, Job.lease_until < clock())


def pause(session: Session, claim: Claim, message: str, seconds: float) -> None:
    """Pause the claimed job at the snapshot that it has, for ``seconds`` at least. Nothing new is kept.

    One that is to be cancelled is given back instead: it leaves a model, which needs room, or none at all.
    Raises LeaseLost when another worker holds the job.
    """
    held = queue.hold(session, claim)
    values: dict[str, object] = {"worker_id": None, "lease_until": 0.0}
    entries = []
    if held.status == State.PAUSING and held.want == "pause":
        values |= {"status": State.PAUSED}
        entries = [Entry("job.paused", "The job is paused.", {"model_id": held.model_id})]
    elif held.status != State.CANCELLING:
        because = {"code": DISK_FULL, "message": message}
        # As there is no lease on a paused job, its end is when to look again.
        values |= {"status": State.PAUSED, "paused_because": because, "lease_until": clock() + seconds}
        data = {"model_id": held.model_id, "paused_because": because}
        entries = [Entry("job.paused", message, data, "warning")]
    events.insert(session, claim.job_id, held.event_count + 1, entries)
    values |= {"event_count": held.event_count + len(entries)}
    session.execute(sa.update(Job).where(Job.id == claim.job_id).values(values))


def resume(database: Database) -> int:
    """Queue the jobs again that wait for room; return how many. What a client has paused stays paused."""
    with database.reading() as session:
        if not session.scalar(sa.select(sa.exists().where(HELD_UP))):
            return 0
    with database.writing() as session:
        database.claim_lock(session)
        held_up = session.scalars(sa.select(Job).where(HELD_UP).with_for_update(skip_locked=True)).all()
        for job in held_up:
            job.status, job.paused_because, job.lease_until = State.QUEUED, None, 0.0
            session.flush()
            entry = Entry("job.resumed", "There may be room again: the job waits for a worker.")
            events.append(session, job.id, [entry])
        database.announce(session)
        return len(held_up)
