"""The ledger of a job's snapshots: numbered 1, 2, …, each chained to the one before by SHA-256.

``jobs.snapshot_count`` is the number of the newest, which is the one that the job goes on from.
"""

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.blobs import Blobs, Staged
from app.storage.columns import now
from app.storage.tables import Job, Snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """A snapshot: ``epoch`` epochs are complete, and ``step`` steps of the next one."""

    epoch: int
    step: int
    content: Staged
    parameters_sha256: str


def newest(session: Session, job_id: str) -> Snapshot | None:
    """The snapshot that the job goes on from."""
    last = _last(session, job_id)
    return None if last is None or last.content is None else last


def _last(session: Session, job_id: str) -> Snapshot | None:
    """The newest, though it may have been pruned."""
    is_last = sa.and_(Job.id == Snapshot.job_id, Job.snapshot_count == Snapshot.number)
    return session.scalar(sa.select(Snapshot).join(Job, is_last).where(Snapshot.job_id == job_id))


def link(before: str | None, place: Place) -> str:
    """The chain's next value: SHA-256 of the one before (or nothing), the parameters' and the place."""
    text = f"{before or ''}\n{place.parameters_sha256}\n{place.epoch}\n{place.step}"
    return hashlib.sha256(text.encode()).hexdigest()


def add(session: Session, blobs: Blobs, job_id: str, place: Place) -> tuple[int, str | None] | None:
    """Write a snapshot behind the newest; return its number, and the content that nothing names any more.

    None when it is the newest already, as after a COMMIT whose answer was lost.
    """
    before = _last(session, job_id)
    if before is not None and before.content == place.content.sha256:
        return None
    number = 1 if before is None else before.number + 1
    blobs.attach(session, place.content)
    row = {
        "job_id": job_id,
        "number": number,
        "epoch": place.epoch,
        "step": place.step,
        "content": place.content.sha256,
        "parameters_sha256": place.parameters_sha256,
        "chain_sha256": link(None if before is None else before.chain_sha256, place),
        "kept": False,
        "created_at": now(),
    }
    session.execute(sa.insert(Snapshot).values(row))
    return number, None if before is None else _prune(session, blobs, before)


def _prune(session: Session, blobs: Blobs, snapshot: Snapshot) -> str | None:
    """Let its content go; the row stays, for the chain."""
    content, snapshot.content = snapshot.content, None
    session.flush()
    if content is not None:
        blobs.release(session, content)
    return content


def drop(session: Session, blobs: Blobs, job_id: str) -> list[str]:
    """Let the content of every snapshot of a job go; return what nothing names any more."""
    held = sa.select(Snapshot).where(Snapshot.job_id == job_id, Snapshot.content.is_not(None))
    pruned = [_prune(session, blobs, each) for each in session.scalars(held).all()]
    return [each for each in pruned if each is not None]
