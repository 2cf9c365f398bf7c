"""What a worker writes: epochs, snapshots and endings, each in one transaction that its fence guards."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.engine import Parameters
from app.jobs import events, queue
from app.jobs.events import Entry
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.storage.blobs import Blobs, Staged
from app.storage.columns import now
from app.storage.tables import Epoch, Job, Snapshot

RECOMPUTED = ("cost", "data_cost", "validation_cost", "metrics", "learning_rate", "gradient_norm", "diverged")


def record(
    session: Session,
    blobs: Blobs,
    claim: Claim,
    rows: Sequence[dict[str, Any]],
    snapshot: tuple[int, int, Staged] | None = None,
    **values: object,
) -> str | None:
    """Write epochs, and the snapshot (epoch, step, content) to go on from, or nothing at all.

    ``values`` are further columns of the job. Returns the content of the snapshot that was replaced and
    that nothing names any more. Raises LeaseLost when another worker holds the job.
    """
    if rows:
        values |= {"epochs_completed": rows[-1]["epoch"], "progress_at": now()}
    if snapshot is not None:
        values |= {"crashes": 0}
    queue.hold(session, claim, **values)
    _write_epochs(session, claim, rows)
    return None if snapshot is None else _write_snapshot(session, blobs, claim, *snapshot)


def _write_epochs(session: Session, claim: Claim, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    first, last = rows[0]["epoch"], rows[-1]["epoch"]
    there = sa.select(Epoch).where(Epoch.job_id == claim.job_id, Epoch.epoch.between(first, last))
    known = {each.epoch: each for each in session.scalars(there)}
    for row in rows:
        old = known.get(row["epoch"])
        if old is not None and any(getattr(old, name) != row[name] for name in RECOMPUTED):
            # Told to clients already: what they were told stays, and the difference is said aloud.
            message = f"Epoch {row['epoch']} came out differently when it was computed again."
            entry = Entry("job.warning", message, {"epoch": row["epoch"]}, "warning")
            events.append(session, claim.job_id, [entry])
    fresh = [row for row in rows if row["epoch"] not in known]
    if fresh:
        session.execute(sa.insert(Epoch), fresh)
        events.append(session, claim.job_id, events.epoch_entries(fresh[0]["epoch"], fresh[-1]["epoch"]))


def _write_snapshot(
    session: Session, blobs: Blobs, claim: Claim, epoch: int, step: int, content: Staged
) -> str | None:
    blobs.attach(session, content)
    values = {"epoch": epoch, "step": step, "content": content.sha256, "created_at": now()}
    old = session.get(Snapshot, claim.job_id)
    if old is None:
        session.execute(sa.insert(Snapshot).values(job_id=claim.job_id, **values))
        return None
    before = old.content
    session.execute(sa.update(Snapshot).where(Snapshot.job_id == claim.job_id).values(values))
    if before == content.sha256:
        return None
    blobs.release(session, before)
    return before


def finish(
    session: Session,
    blobs: Blobs,
    claim: Claim,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
    model: tuple[Parameters, Staged] | None = None,
) -> str | None:
    """End the job, once: its state, result and model. Raises LeaseLost when another worker holds it.

    A job that has succeeded or was cancelled needs no snapshot any more; the content of the one that
    goes is returned when nothing else names it.
    """
    queue.hold(session, claim)
    job = session.get_one(Job, claim.job_id, populate_existing=True)
    values: dict[str, Any] = {"status": state, "result": result, "error": error, "finished_at": now()}
    if model is not None:
        values["model_id"] = records.add(session, blobs, job, *model, result=result or {})
    closing = values | {"worker_id": None, "lease_until": 0.0}
    session.execute(sa.update(Job).where(Job.id == claim.job_id).values(closing))
    events.append(session, claim.job_id, [_ending(state, error, values.get("model_id"))])
    return None if state == State.FAILED else drop_snapshot(session, blobs, claim.job_id)


def drop_snapshot(session: Session, blobs: Blobs, job_id: str) -> str | None:
    """Delete a job's snapshot; return its content when nothing else names it."""
    snapshot = session.get(Snapshot, job_id)
    if snapshot is None:
        return None
    content = snapshot.content
    session.delete(snapshot)
    session.flush()
    blobs.release(session, content)
    return content


def _ending(state: State, error: dict[str, Any] | None, model_id: str | None) -> Entry:
    data = {"model_id": model_id, "error": error}
    if state == State.FAILED:
        return Entry("job.failed", str((error or {}).get("message")), data, "error")
    return Entry(f"job.{state}", f"The job has {state}." if state == State.SUCCEEDED else "Cancelled.", data)
