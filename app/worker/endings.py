"""Ending a job without its trainer: a cancelled one whose trainer is dead or did not listen."""

from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.engine import Parameters
from app.errors import LeaseLost
from app.jobs import history, snapshots
from app.jobs.history import Ending
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job, Snapshot


def cancel(database: Database, blobs: Blobs, claim: Claim, patience: float) -> None:
    """Cancel the claimed job at its last snapshot, which becomes its model; without one there is none."""
    with database.reading() as session:
        job = session.get_one(Job, claim.job_id)
        stored = session.get(Snapshot, claim.job_id)
        content = None if stored is None else blobs.read(session, stored.content)
    parameters: Parameters | None = None
    if content is not None:
        parameters = snapshots.parameters_of(to_engine(job.architecture), content)
    model = None if parameters is None else (parameters, records.stage(blobs, parameters))
    result = {
        "epochs": job.epochs_completed,
        "cost": None,
        "stop_reason": "cancelled",
        "best_epoch": None,
        "metrics": None,
    }

    ending = Ending(State.CANCELLED, result, model=model, encoding=job.encoding)

    def unit(session: Session) -> None:
        database.announce(session)
        history.record(session, blobs, claim, ending=(job, ending))

    try:
        database.patiently(unit, patience)
    except LeaseLost:
        return
