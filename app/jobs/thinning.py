"""Few epochs for many: enough for a plot, however long the history, and without reading it into memory."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.tables import Epoch


def chosen(session: Session, job_id: str, after: int, most: int) -> list[int]:
    """Up to ``most`` epochs behind ``after``: first, last, least and greatest cost, others at even distances.

    Histories have no gaps, so all but the extremes follow from the two ends.
    """
    one = sa.select(Epoch.epoch).where(Epoch.job_id == job_id, Epoch.epoch > after).limit(1)
    first = session.scalar(one.order_by(Epoch.epoch))
    last = session.scalar(one.order_by(Epoch.epoch.desc()))
    if first is None or last is None:
        return []
    count = last - first + 1
    if count <= most:
        return list(range(first, last + 1))
    finite = one.where(Epoch.cost.is_not(None))
    least = session.scalar(finite.order_by(Epoch.cost, Epoch.epoch))
    greatest = session.scalar(finite.order_by(Epoch.cost.desc(), Epoch.epoch.desc()))
    kept = {first, last, *(each for each in (least, greatest) if each is not None)}
    others = max(0, most - len(kept))
    kept.update(first + (index + 1) * count // (others + 1) for index in range(others))
    return sorted(kept)
