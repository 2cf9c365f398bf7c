"""What the tables have in common: the base, names of constraints, and the columns of a project's objects."""

from datetime import datetime
from typing import Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.storage.columns import UtcDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: sa.JSON,
        list[Any]: sa.JSON,
        float: sa.Double,
        bytes: sa.LargeBinary,
        int: sa.BigInteger,
    }


def core(table: type[Table]) -> sa.Table:
    """The table itself, for statements that are built once."""
    return cast("sa.Table", table.__table__)


def project_reference() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("projects.id"))


def blob_reference() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("blobs.sha256"), index=True)


def of_parent(table: str) -> Mapped[str]:
    """The first part of the key of rows that go with their parent."""
    return mapped_column(sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=True)


def of_job() -> Mapped[str]:
    """As `of_parent`, for rows of which a job may have millions: no foreign key takes them along at once."""
    return mapped_column(primary_key=True)


class Walled:
    """Rows that belong to a project: a session of another project must not see them (see `scope`)."""

    owner_column: ClassVar[str | None] = "project_id"
    """Of the table, where a bare statement can compare it."""

    @classmethod
    def of_project(cls, project_id: Any) -> sa.ColumnElement[bool]:
        """The condition on a row that the project may write."""
        column = getattr(
            cls, cls.owner_column or "", sa.literal("")
        )  # SQLAlchemy asks this class itself, too
        condition: sa.ColumnElement[bool] = column == project_id
        return condition

    @classmethod
    def seen_by(cls, project_id: Any) -> sa.ColumnElement[bool]:
        """The condition on a row that the project may read."""
        return cls.of_project(project_id)


class OfJob(Walled):
    """Rows that go with a job, and belong to its project."""

    owner_column = None

    @classmethod
    def of_project(cls, project_id: Any) -> sa.ColumnElement[bool]:
        job = Table.metadata.tables["jobs"].alias("job_of_row")
        mine = job.c.id == cls.job_id  # type: ignore[attr-defined]
        return sa.exists().where(mine, job.c.project_id == project_id)


class Owned(Walled):
    """What a project's own objects have in common; ``labels`` are their ``metadata``."""

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_reference()
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
