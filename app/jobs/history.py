"""What a worker writes: epochs, snapshots, pauses and ends, each in one transaction that its fence guards."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Fault
from app.jobs import charges, events, ledger, queue
from app.jobs.events import Entry
from app.jobs.ledger import Place
from app.jobs.queue import Claim, Held
from app.jobs.states import TERMINAL, State
from app.models import records
from app.models.records import Trained
from app.storage import bulk
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.declaring import core
from app.storage.tables import Epoch, Event, Job

_jobs = core(Job)
RECOMPUTED = ("cost", "data_cost", "validation_cost", "metrics", "learning_rate", "gradient_norm", "diverged")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends, and the model that it leaves, if any.

    Without a ``state`` it stops because that was asked for, and the job's row says what comes of it:
    cancelled; paused, with neither result nor error; or queued, where it is to go on already.
    """

    state: State | None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    model: Trained | None = None


def record(
    session: Session,
    blobs: Blobs,
    claim: Claim,
    rows: Sequence[dict[str, Any]] = (),
    places: Sequence[Place] = (),
    end: Ending | None = None,
    **values: object,
) -> list[str]:
    """Write epochs, snapshots, and the end of the job: all of it, or nothing at all. The job goes on from the
    last of the snapshots, which are in the order in which they were taken.

    ``values`` are further columns of the job. Returns the contents of snapshots that nothing names any more.
    Raises LeaseLost when another worker holds the job. Run a second time, it writes nothing twice.
    """
    held = queue.hold(session, claim)
    entries = _write_epochs(session, claim, rows, held)
    if rows:
        values |= {"epochs_completed": max(held.epochs_completed, rows[-1]["epoch"]), "progress_at": now()}
    unnamed: list[str] = []
    if places:
        added = ledger.add(session, blobs, claim.job_id, places)
        entries += added.entries
        values |= added.values
        unnamed = added.unnamed
    if end is not None:
        state = end.state or _as_asked(held)
        model_id = held.model_id
        if end.model is not None and state != State.QUEUED:
            model_id = records.add(session, blobs, end.model, end.result or {})
        values |= {"status": state, "model_id": model_id, "worker_id": None, "lease_until": 0.0}
        if state in TERMINAL:
            values |= {"result": end.result, "error": end.error, "finished_at": now()}
            values |= {"kept_bytes": charges.KEPT}
            charges.settle(
                session, claim.job_id, max(held.epochs_completed, rows[-1]["epoch"] if rows else 0)
            )
        entries.append(_ending(state, end.error, model_id))
    entries = _unsaid(session, claim.job_id, entries)
    events.insert(session, claim.job_id, held.event_count + 1, entries)
    values |= {"event_count": held.event_count + len(entries)}
    session.execute(sa.update(_jobs).where(_jobs.c.id == claim.job_id).values(values))
    return unnamed


def move(session: Session, claim: Claim, fingerprint: dict[str, Any]) -> None:
    """Say in the job's log and warnings what is other than where its snapshot was computed.

    Raises LeaseLost when another worker holds the job. Run a second time, it says nothing twice.
    """
    held = queue.hold(session, claim)
    job = session.get_one(Job, claim.job_id, populate_existing=True)
    before = job.fingerprint or {}
    names = sorted(name for name in {*before, *fingerprint} if before.get(name) != fingerprint.get(name))
    if not names:
        return
    parts = [f"{name} was {before.get(name)} and is {fingerprint.get(name)}" for name in names]
    message = f"The job goes on under another fingerprint: {'; '.join(parts)}."
    hint = "The last bits may differ from those of a run that was never moved."
    warning = Fault("fingerprint", "fingerprint_differs", message, hint)
    data = {name: {"before": before.get(name), "now": fingerprint.get(name)} for name in names}
    entry = Entry("job.warning", message, data, "warning")
    events.insert(session, claim.job_id, held.event_count + 1, [entry])
    values = {
        "warnings": [*job.warnings, asdict(warning)],
        "fingerprint": fingerprint,
        "event_count": held.event_count + 1,
    }
    session.execute(sa.update(Job).where(Job.id == claim.job_id).values(values))


def _write_epochs(session: Session, claim: Claim, rows: Sequence[dict[str, Any]], held: Held) -> list[Entry]:
    """Insert what is new; what is there already must have come out the same."""
    fresh = [row for row in rows if row["epoch"] > held.epochs_completed]
    again = {row["epoch"]: row for row in rows if row["epoch"] <= held.epochs_completed}
    entries = []
    if again:
        there = sa.select(Epoch).where(
            Epoch.job_id == claim.job_id, Epoch.epoch.between(min(again), max(again))
        )
        for old in session.scalars(there):
            if any(getattr(old, name) != again[old.epoch][name] for name in RECOMPUTED):
                # Clients were told the old numbers: they stay, and the difference is said aloud.
                message = f"Epoch {old.epoch} came out differently when it was computed again."
                entries.append(Entry("job.warning", message, {"epoch": old.epoch}, "warning"))
    if fresh:
        bulk.insert(session, core(Epoch), fresh)
        entries += events.epoch_entries(fresh[0]["epoch"], fresh[-1]["epoch"])
    return entries


def _unsaid(session: Session, job_id: str, entries: list[Entry]) -> list[Entry]:
    """Without the warnings that the log has already, as after a COMMIT whose answer was lost."""
    if not any(entry.type == "job.warning" for entry in entries):
        return entries
    warned = sa.select(Event.message).where(Event.job_id == job_id, Event.type == "job.warning")
    said = set(session.scalars(warned))
    return [entry for entry in entries if entry.type != "job.warning" or entry.message not in said]


def _as_asked(held: Held) -> State:
    if held.status == State.CANCELLING:
        return State.CANCELLED
    return State.PAUSED if held.want == "pause" else State.QUEUED


def _ending(state: State, error: dict[str, Any] | None, model_id: str | None) -> Entry:
    if state == State.QUEUED:
        return Entry("job.resumed", "The job waits for a worker again.")
    if state == State.PAUSED:
        return Entry("job.paused", "The job is paused.", {"model_id": model_id})
    data = {"model_id": model_id, "error": error}
    if error is not None:
        return Entry("job.failed", str(error["message"]), data, "error")
    words = {State.SUCCEEDED: "The job has succeeded.", State.CANCELLED: "The job was cancelled."}
    return Entry(f"job.{state}", words[state], data)
