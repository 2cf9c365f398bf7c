"""The tables of what makes jobs comparable: splits that they share, and cross-validations."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.declaring import Owned, Table


class Split(Owned, Table):
    """How the rows of one dataset's content are parted: what it takes to part them again, and what came of
    it. ``dataset_id`` is no foreign key: jobs keep what they take of a split, and so does the split."""

    __tablename__ = "splits"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    dataset_id: Mapped[str]
    dataset_sha256: Mapped[str]
    task: Mapped[str]
    target: Mapped[list[Any]]
    validation_fraction: Mapped[float]
    test_fraction: Mapped[float]
    stratify: Mapped[bool]
    seed: Mapped[int]
    parts: Mapped[dict[str, Any]]


class CrossValidation(Owned, Table):
    """Jobs that each hold out one fold; ``job_ids`` has them by fold. A job may be deleted before it."""

    __tablename__ = "cross_validations"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    dataset_id: Mapped[str]
    task: Mapped[str]
    target: Mapped[list[Any]]
    job_ids: Mapped[list[Any]]
    requested: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]] = mapped_column(sa.JSON)
