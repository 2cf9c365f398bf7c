"""What clients ask of jobs that are there: cancel, pause, resume, retry.

Where a worker has to do with it, the job's row says what is wanted, and `history.record` how it comes out.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.datasets import service as datasets
from app.errors import Gone, NotFound
from app.jobs import charges, events, ledger, line
from app.jobs.events import Entry
from app.jobs.states import Action, State, require
from app.keys.service import Principal
from app.projects.quotas import Quotas
from app.storage import lookup
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Job, Model

NO_QUOTAS = Quotas()


def ask(
    session: Session,
    database: Database,
    principal: Principal,
    job_id: str,
    action: Action,
    default: Quotas = NO_QUOTAS,
) -> bool:
    """Do it, or let it be done by whoever trains the job. False when it is in force already.

    Raises Conflict, naming what is allowed, where the job's state does not take the action; Gone where a job
    cannot be tried again because its dataset was deleted; TooManyJobs where it would wait as one too many,
    QuotaReached or DailyQuotaReached where it may not be tried again. ``default`` holds unless the project
    has limits of its own.
    """
    job = lookup.get(session, Job, principal.project_id, job_id, "job_id", lock=True)
    if _in_force(job, action):
        if job.status == State.PAUSED:
            _drop_hold(job)  # it stays paused now, whatever becomes of the server's reason
        return False
    require(job.status, action)
    if action == "resume":
        entries = _resume(session, job, default)
    elif action == "retry":
        entries = [_retry(session, principal, job, default)]
    else:
        entries = _stop(session, job, action)
    session.flush()
    events.append(session, job.id, entries)
    session.refresh(job)
    database.announce(session)
    return True


def _in_force(job: Job, action: Action) -> bool:
    if action == "cancel":
        return job.status in (State.CANCELLING, State.CANCELLED)
    if action == "pause":
        return job.status == State.PAUSED or (job.status == State.PAUSING and job.want == "pause")
    waits_or_runs = job.status in (State.QUEUED, State.RUNNING)
    if action == "retry":
        return waits_or_runs and job.retries > 0
    return waits_or_runs or (job.status == State.PAUSING and job.want == "run")


def _stop(session: Session, job: Job, action: Action) -> list[Entry]:
    """Cancel or pause. A worker does it where there is something to stop, or a model to be made."""
    job.want = action
    if job.status == State.PAUSING and action == "pause":
        return []  # it was to be resumed as soon as it had stopped
    at_once = job.status == State.PAUSED or (job.status == State.QUEUED and _has_left_all(session, job))
    if not at_once:
        if job.status == State.QUEUED:  # who had it before must not take it for its own again
            job.fence += 1
        if action == "cancel":
            job.status = State.CANCELLING
            return [Entry("job.cancelling", "The job is asked to stop.")]
        job.status = State.PAUSING
        return [Entry("job.pausing", "The job is asked to pause.")]
    _drop_hold(job)
    if action == "pause":
        job.status = State.PAUSED
        return [Entry("job.paused", "The job is paused.", {"model_id": job.model_id})]
    model = None if job.model_id is None else session.get(Model, job.model_id)
    job.status, job.finished_at = State.CANCELLED, now()
    job.kept_bytes = charges.KEPT
    charges.settle(session, job.id, job.epochs_completed)
    job.result = {
        "epochs": job.epochs_completed,
        "cost": None if model is None else model.cost,
        "stop_reason": "cancelled",
        "metrics": None if model is None else model.metrics or None,
    }
    return [Entry("job.cancelled", "The job was cancelled.", {"model_id": job.model_id, "error": None})]


def _has_left_all(session: Session, job: Job) -> bool:
    """Whether the job's model is what it would go on from, or there is nothing to make a model of."""
    last = ledger.newest(session, job.id)
    if last is None:
        return True
    left = sa.select(Model.id).where(
        Model.id == job.model_id, Model.epoch == last.epoch, Model.sha256 == last.parameters_sha256
    )
    return session.scalar(left) is not None


def _resume(session: Session, job: Job, default: Quotas) -> list[Entry]:
    if job.status == State.PAUSING:
        job.want = "run"
        return []  # said when it has stopped
    line.make_room(session, job.project_id, default)
    job.want = "run"
    job.status = State.QUEUED
    _drop_hold(job)
    return [Entry("job.resumed", "The job waits for a worker again.")]


def _drop_hold(job: Job) -> None:
    """What the server had paused is in the client's hands."""
    job.paused_because, job.lease_until = None, 0.0


def _retry(session: Session, principal: Principal, job: Job, default: Quotas) -> Entry:
    try:
        datasets.get(session, principal, job.dataset_id, keep=True)
    except NotFound:
        message = "The dataset of this job has been deleted, or is shared no more: it cannot be tried again."
        raise Gone(message) from None
    held = line.make_room(session, job.project_id, default)
    charges.take_again(session, job, held)
    job.status, job.want, job.crashes = State.QUEUED, "run", 0
    job.error = job.result = job.finished_at = None
    job.retries += 1
    return Entry("job.queued", f"The job waits for a worker: retry {job.retries}.", {"retry": job.retries})
