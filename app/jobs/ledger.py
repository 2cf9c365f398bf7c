"""The ledger of a job's snapshots: numbered 1, 2, …, each chained to the one before by SHA-256.

``jobs.snapshot_count`` is the number of the newest, which is the one that the job goes on from. A row stays
as long as its job; the content of one that is not kept goes when the next one is written.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.events import Entry
from app.storage.blobs import AT_ONCE, Blobs, Staged
from app.storage.columns import now
from app.storage.declaring import core
from app.storage.tables import Job, Snapshot

_snapshots, _jobs = core(Snapshot), core(Job)

INSERT = sa.insert(_snapshots)
NEWEST = sa.select(_snapshots).join(
    _jobs, sa.and_(_jobs.c.id == _snapshots.c.job_id, _jobs.c.snapshot_count == _snapshots.c.number)
)
LAST = NEWEST.where(_jobs.c.id == sa.bindparam("job"))
THERE = sa.select(_snapshots.c.epoch, _snapshots.c.step, _snapshots.c.parameters_sha256).where(
    _snapshots.c.job_id == sa.bindparam("job"),
    sa.tuple_(_snapshots.c.epoch, _snapshots.c.step).in_(sa.bindparam("places", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A snapshot: ``epoch`` epochs are complete, and ``step`` steps of the next one.

    ``kept``: it stays when newer ones are written.
    """

    epoch: int
    step: int
    content: Staged
    parameters_sha256: str
    kept: bool = False

    @property
    def at(self) -> tuple[int, int]:
        return self.epoch, self.step


@dataclass(slots=True)
class Added:
    """What writing snapshots came to: what the job's log is to say, columns of the job, and contents that
    nothing names any more.
    """

    entries: list[Entry] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)


def newest(session: Session, job_id: str) -> Snapshot | None:
    """The snapshot that the job goes on from."""
    is_last = sa.and_(Job.id == Snapshot.job_id, Job.snapshot_count == Snapshot.number)
    last = session.scalar(sa.select(Snapshot).join(Job, is_last).where(Snapshot.job_id == job_id))
    return None if last is None or last.content is None else last


def link(before: str | None, place: Place) -> str:
    """The chain's next value: SHA-256 of the one before (or nothing), the parameters' and the place."""
    text = f"{before or ''}\n{place.parameters_sha256}\n{place.epoch}\n{place.step}"
    return hashlib.sha256(text.encode()).hexdigest()


def add(session: Session, blobs: Blobs, job_id: str, places: Sequence[Place]) -> Added:
    """Write snapshots, in the order in which they were taken, behind the newest.

    Of what is there already, as after a COMMIT whose answer was lost, nothing is written again; but the same
    place with other parameters is told.
    """
    added = Added()
    before = session.execute(LAST, {"job": job_id}).one_or_none()
    reached = (-1, 0) if before is None else (before.epoch, before.step)
    again = [place for place in places if place.at <= reached]
    fresh = [place for place in places if place.at > reached]
    if again:
        added.entries += _differences(session, job_id, again)
        if before is not None and not before.kept and any(p.kept and p.at == reached for p in again):
            session.execute(_row(job_id, before.number).values(kept=True))
            before = session.execute(LAST, {"job": job_id}).one()
    if not fresh:
        return added
    blobs.attach(session, *(place.content for place in fresh if place.kept or place is fresh[-1]))
    number, chained = (0, None) if before is None else (before.number, before.chain_sha256)
    moment, rows = now(), []
    for number, place in enumerate(fresh, number + 1):  # noqa: B020 (goes on counting)
        chained = link(chained, place)
        row = {
            "job_id": job_id,
            "number": number,
            "epoch": place.epoch,
            "step": place.step,
            "content": place.content.sha256 if place.kept or place is fresh[-1] else None,
            "parameters_sha256": place.parameters_sha256,
            "chain_sha256": chained,
            "kept": place.kept,
            "created_at": moment,
        }
        rows.append(row)
        told = ("number", "epoch", "step", "parameters_sha256", "chain_sha256", "kept")
        message = f"The job can go on from epoch {place.epoch}."
        added.entries.append(Entry("job.checkpoint", message, {name: row[name] for name in told}))
    session.execute(INSERT, rows)
    added.values = {"crashes": 0, "snapshot_count": number}
    if before is not None and before.content is not None and not before.kept:
        session.execute(_row(job_id, before.number).values(content=None))
        added.unnamed = blobs.release(session, before.content)
    return added


def _row(job_id: str, number: int) -> sa.Update:
    return sa.update(_snapshots).where(_snapshots.c.job_id == job_id, _snapshots.c.number == number)


def _differences(session: Session, job_id: str, places: Sequence[Place]) -> Iterator[Entry]:
    rows = session.execute(THERE, {"job": job_id, "places": [place.at for place in places]})
    there = {(row.epoch, row.step): row.parameters_sha256 for row in rows}
    for place in places:
        if there.get(place.at, place.parameters_sha256) != place.parameters_sha256:
            # The one that was told of stays, and the job has gone on from it: the difference is said aloud.
            where = f"step {place.step} behind epoch {place.epoch}" if place.step else f"epoch {place.epoch}"
            message = f"The snapshot of {where} came out differently when it was computed again."
            yield Entry("job.warning", message, {"epoch": place.epoch, "step": place.step}, "warning")


def verify(session: Session, job_id: str) -> int | None:
    """The number of the first snapshot at which the job's chain is broken; None where it is whole.

    One that is missing counts as broken, the last ones, too.
    """
    chained, count = None, 0
    found = sa.select(_snapshots).where(_snapshots.c.job_id == job_id).order_by(_snapshots.c.number)
    for count, row in enumerate(session.execute(found), 1):
        place = Place(row.epoch, row.step, Staged("", 0, b""), row.parameters_sha256)
        chained = link(chained, place)
        if row.number != count or row.chain_sha256 != chained:
            return count
    counted = session.scalar(sa.select(_jobs.c.snapshot_count).where(_jobs.c.id == job_id))
    return None if counted == count else count + 1


def drop(session: Session, blobs: Blobs, job_id: str) -> None:
    """Delete every snapshot of a job; of very many contents a `Sweep` takes most."""
    of_job = Snapshot.job_id == job_id
    held = sa.select(Snapshot.content).where(of_job, Snapshot.content.is_not(None)).limit(AT_ONCE)
    contents = [each for each in session.scalars(held) if each is not None]
    session.execute(sa.delete(Snapshot).where(of_job), execution_options={"synchronize_session": False})
    blobs.release(session, *contents)
