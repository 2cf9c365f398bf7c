"""When a job may end: if every epoch is trained, each as long as the last ones took."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import workers
from app.jobs.states import HELD, State
from app.storage.columns import clock
from app.storage.scope import across
from app.storage.tables import Epoch, Job

LAST_EPOCHS = 100
"""Epochs that are taken as a measure of those to come."""

MOST_RUNNING = 32
"""Running jobs that are looked at for one that waits behind them."""

LONGEST_SECONDS = 10 * 365 * 86400.0


def finish(session: Session, job: Job, place: int | None) -> datetime | None:
    """When it ends; None where nothing says so. ``place`` is its place in the line, None if it runs."""
    if job.status == State.RUNNING:
        return _end_of_running(session, job)
    if place is None:
        return None
    left = _left(session, job)
    begin = None if left is None else _begin(session, place)
    return None if left is None or begin is None else begin + left


def _end_of_running(session: Session, job: Job) -> datetime | None:
    left = _left(session, job)
    if left is None or job.progress_at is None:
        return None
    return job.progress_at + left


def _left(session: Session, job: Job) -> timedelta | None:
    """Of training, as its epochs' seconds count it; None before the first epoch is done."""
    if not job.epochs_completed:
        return None
    last = sa.select(Epoch.seconds).where(Epoch.job_id == job.id).order_by(Epoch.epoch.desc())
    each = session.scalar(sa.select(sa.func.avg(last.limit(LAST_EPOCHS).subquery().c.seconds))) or 0.0
    left = (job.training["epochs"] - job.epochs_completed) * each
    budget = job.training["time_budget_seconds"]
    if budget is not None:
        left = min(left, budget - job.epochs_completed * each)
    return timedelta(seconds=min(max(0.0, left), LONGEST_SECONDS))


def _begin(session: Session, place: int) -> datetime | None:
    """When enough of the running jobs have ended for the one at this place; None if a worker is free now."""
    held = sa.select(Job).where(Job.status.in_(HELD), Job.lease_until >= clock()).limit(MOST_RUNNING + 1)
    with across(session):  # it waits for those of other projects, too
        running = session.scalars(held).all()
        behind = place - max(0, workers.slots(session) - len(running))
        if behind <= 0 or len(running) > MOST_RUNNING:
            return None
        ends = [_end_of_running(session, each) for each in running]
    known = [end for end in ends if end is not None]
    return sorted(known)[behind - 1] if behind <= len(known) else None
