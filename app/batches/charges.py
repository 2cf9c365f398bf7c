"""What a batch counts with against its project's multiply-adds of a day: each row once, forwards."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage.tables import Batch, Model

FEWER = "Predict fewer rows, or with a smaller model."


def take(session: Session, batch: Batch, parameter_count: int, held: Quotas) -> None:
    """Let it count on the day on which it is begun. Raises QuotaReached or DailyQuotaReached.

    The project is locked: see `quotas.of`.
    """
    multiply_adds = batch.row_count * parameter_count
    day = quotas.day_of(batch.created_at)
    quotas.charge(session, batch.project_id, held, day, multiply_adds, FEWER)


def settle(session: Session, batch: Batch) -> None:
    """In the transaction that ends it early: rows that were not predicted count no more.

    Of a model that has been deleted since nobody knows how much they were.
    """
    count = sa.select(Model.parameter_count).where(Model.id == batch.model_id)
    left = (batch.row_count - batch.completed) * (session.scalar(count) or 0)
    quotas.give_back(session, batch.project_id, quotas.day_of(batch.created_at), left)
