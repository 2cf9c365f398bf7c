"""Stopping a job without its trainer, because that is dead, or did not listen, or there never was one."""

import logging

from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.errors import LeaseLost
from app.jobs import history, ledger, snapshots
from app.jobs.history import Ending
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.models.records import Trained
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import is_full
from app.storage.tables import Job, Snapshot

log = logging.getLogger(__name__)


def stop(database: Database, blobs: Blobs, claim: Claim, patience: float) -> None:
    """Cancel or pause the claimed job, as was asked, at its last snapshot.

    That becomes its model; without a snapshot there is none. Where there is no room for a model, a job is
    paused without one, and OSError or OperationalError raised of one that is to be cancelled: it is tried
    again later, since its snapshot goes when it ends.
    """
    with database.reading() as session:
        job = session.get_one(Job, claim.job_id)
        stored = ledger.newest(session, claim.job_id)
    model = None if stored is None else _model(database, blobs, job, stored)
    result = {
        "epochs": job.epochs_completed,
        "cost": None,
        "stop_reason": "cancelled",
        "best_epoch": None,
        "metrics": None,
    }
    ending = Ending(None, result, model=model)

    def unit(session: Session) -> None:
        database.announce(session)
        history.record(session, blobs, claim, end=ending)

    try:
        database.patiently(unit, patience, urgent=True)
    except LeaseLost:
        return


def _model(database: Database, blobs: Blobs, job: Job, stored: Snapshot) -> Trained | None:
    while True:
        try:
            return _left(database, blobs, job, stored)
        except Exception as error:  # one snapshot that cannot be read must not cost everybody their worker
            full = is_full(error)
            if full and database.relieve():
                continue
            if full and job.status == State.CANCELLING:
                raise
            log.exception("job %s stops without a model", job.id, extra={"job_id": job.id})
            return None


def _left(database: Database, blobs: Blobs, job: Job, stored: Snapshot) -> Trained:
    assert stored.content is not None
    with database.reading() as session:
        content = blobs.read(session, stored.content)
    parameters = snapshots.parameters_of(to_engine(job.architecture), content)
    return Trained(job, parameters, records.stage(blobs, parameters), job.encoding or {}, stored.epoch)
