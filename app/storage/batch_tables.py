"""The table of batches."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.declaring import Owned, Table


class Batch(Owned, Table):
    """A dataset that a model is to predict. ``fence`` grows with each claim; whoever has not the current one
    writes nothing. ``lease_until`` is on the database's clock; ``attempts`` are claims that ended by a death.

    No foreign keys: it outlives its model and both datasets.
    """

    __tablename__ = "batches"
    __table_args__ = (sa.Index(None, "project_id", "id"), sa.Index(None, "status", "id"))

    model_id: Mapped[str]
    dataset_id: Mapped[str]
    status: Mapped[str]
    row_count: Mapped[int]
    completed: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float] = mapped_column(default=0.0)
    result_dataset_id: Mapped[str | None]
    warnings: Mapped[list[Any]]
    error: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
