"""How fast this server has trained the project's last jobs, beside what was reckoned for them."""

from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.jobs import charges, reckoning
from app.jobs.memory import Load
from app.jobs.states import State
from app.storage.tables import Epoch, Job

LOOKED_AT, LAST_JOBS, LAST_EPOCHS = 200, 20, 50
"""Jobs that may be like it, those of them that are timed, and their epochs."""


class Pace(NamedTuple):
    """By what reckoned seconds are to be multiplied, and how many jobs say so; of none, 1."""

    factor: float
    jobs: int


def pace(session: Session, project_id: str, network: dict[str, Any], training: dict[str, Any]) -> Pace:
    """The median over the last jobs of the same network and minibatch, if there are some; else over those
    that compute in the same manner; else over all."""
    done = sa.select(Job).where(
        Job.project_id == project_id, Job.status == State.SUCCEEDED, Job.epochs_completed > 0
    )
    last = session.scalars(done.order_by(Job.id.desc()).limit(LOOKED_AT)).all()
    akin = [job for job in last if _manner(job.training) == _manner(training)]
    alike = [
        job
        for job in akin
        if job.architecture == network and job.training["batch_size"] == training["batch_size"]
    ]
    for jobs in (alike, akin, last):
        found = (_factor(session, job) for job in jobs[:LAST_JOBS])
        if factors := [factor for factor in found if factor is not None]:
            return Pace(median(factors), len(factors))
    return Pace(1.0, 0)


def _manner(training: dict[str, Any]) -> tuple[object, ...]:
    """All rows at once run through memory, and minibatches through the processor's caches."""
    is_second_order = training["optimizer"]["name"] == "lbfgs"
    return training["dtype"], training["batch_size"] == "full", is_second_order


def _factor(session: Session, job: Job) -> float | None:
    """Seconds that its last epochs took, over those that would have been reckoned."""
    if job.split is None:
        return None
    train, validation, test = (job.split[name]["rows"] for name in ("train", "validation", "test"))
    rows = Load(train, validation, test, 0)
    last = sa.select(Epoch.seconds).where(Epoch.job_id == job.id).order_by(Epoch.epoch.desc())
    took = session.scalar(sa.select(sa.func.avg(last.limit(LAST_EPOCHS).subquery().c.seconds)))
    network = to_engine(job.architecture)
    reckoned = reckoning.seconds(network, rows, job.training, charges.multiply_adds(network, rows))
    return None if not took or not reckoned else took / reckoned
