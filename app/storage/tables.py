"""The whole schema on one page. ``alembic/`` moves a database to it."""

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


def _project() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("projects.id"))


def _blob() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("blobs.sha256"), index=True)


class Owned:
    """What a project's own objects have in common; ``labels`` are their ``metadata``."""

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = _project()
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")


class Project(Table):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]


class Key(Table):
    """An API key; only the SHA-256 of its secret is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = _project()
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    name: Mapped[str]
    role: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Blob(Table):
    """Content-addressed bytes: ``data`` when small, else a file (SQLite) or ``blob_chunks`` (Postgres)."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    data: Mapped[bytes | None]


class BlobChunk(Table):
    """Part of a large blob. Written before its ``blobs`` row, hence without a foreign key."""

    __tablename__ = "blob_chunks"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes]


class Dataset(Owned, Table):
    __tablename__ = "datasets"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    status: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    row_count: Mapped[int]
    columns: Mapped[list[Any]]
    warnings: Mapped[list[Any]]
    content: Mapped[str] = _blob()


class Architecture(Owned, Table):
    __tablename__ = "architectures"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    layers: Mapped[list[Any]]
    output: Mapped[dict[str, Any]]


class Job(Owned, Table):
    """One training run. ``fence`` grows with each claim; a worker's write is refused unless it is current.

    ``dataset_id`` and ``model_id`` are no foreign keys: a finished job outlives both.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        sa.Index(None, "project_id", "id"),
        sa.Index(None, "status", "priority", "id"),
        sa.Index("ix_jobs_line", "project_id", "status", sa.text("priority DESC"), "id"),
        sa.Index(None, "worker_id"),
        sa.Index(None, "dataset_id"),
    )

    dataset_id: Mapped[str]
    dataset_sha256: Mapped[str]
    task: Mapped[str]
    target: Mapped[list[Any]]
    features: Mapped[list[Any]]
    architecture_id: Mapped[str | None]
    architecture: Mapped[dict[str, Any]]
    training: Mapped[dict[str, Any]]
    requested: Mapped[dict[str, Any]]
    initial_parameters: Mapped[str | None] = mapped_column(sa.ForeignKey("blobs.sha256"), index=True)
    warnings: Mapped[list[Any]]

    status: Mapped[str]
    want: Mapped[str]
    priority: Mapped[int]
    fence: Mapped[int]
    worker_id: Mapped[str | None]
    lease_until: Mapped[float]
    crashes: Mapped[int]
    retries: Mapped[int]
    paused_because: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    memory_bytes: Mapped[int | None]
    event_count: Mapped[int]
    epochs_completed: Mapped[int]
    snapshot_count: Mapped[int]
    progress_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    encoding: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    fingerprint: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    version: Mapped[str | None]
    split: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    model_id: Mapped[str | None]


class Epoch(Table):
    """One row of history. A cost that is not finite is NULL, and ``diverged`` says why."""

    __tablename__ = "epochs"

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cost: Mapped[float | None]
    data_cost: Mapped[float | None]
    validation_cost: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]
    learning_rate: Mapped[float]
    gradient_norm: Mapped[float | None]
    seconds: Mapped[float]
    diverged: Mapped[bool]


class Snapshot(Table):
    """A state of a job; it goes on from that with the highest number. The row of a pruned one stays, for the
    chain of hashes, without its content."""

    __tablename__ = "snapshots"

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    step: Mapped[int]
    content: Mapped[str | None] = mapped_column(sa.ForeignKey("blobs.sha256"), index=True)
    parameters_sha256: Mapped[str]
    chain_sha256: Mapped[str]
    kept: Mapped[bool]
    created_at: Mapped[datetime]


class Event(Table):
    """One line of a job's log; ``seq`` counts 1, 2, … within the job, without gaps."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str]
    created_at: Mapped[datetime]
    level: Mapped[str]
    type: Mapped[str]
    message: Mapped[str]
    data: Mapped[dict[str, Any]]


class Model(Owned, Table):
    __tablename__ = "models"
    __table_args__ = (sa.Index(None, "project_id", "id"), sa.Index(None, "job_id"))

    job_id: Mapped[str]
    epoch: Mapped[int]
    dataset_id: Mapped[str]
    dataset_sha256: Mapped[str]
    task: Mapped[str]
    architecture: Mapped[dict[str, Any]]
    training: Mapped[dict[str, Any]]
    encoding: Mapped[dict[str, Any]]
    parameter_count: Mapped[int]
    parameters: Mapped[str] = _blob()
    sha256: Mapped[str]
    cost: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]


class Worker(Table):
    """A live supervisor; ``seen_at`` is on the database's clock, in seconds since 1970."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    slots: Mapped[int]
    busy: Mapped[int]
    draining: Mapped[bool]
    started_at: Mapped[datetime]
    seen_at: Mapped[float]


class IdempotencyKey(Table):
    """The first answer to a creating request, written with what it created; ``kept_until`` is on the
    database's clock. No foreign key: it would lock the project before those who count its jobs do."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (sa.Index(None, "kept_until"),)

    project_id: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    status: Mapped[int]
    location: Mapped[str | None]
    body: Mapped[str]
    kept_until: Mapped[float]


class Webhook(Owned, Table):
    """Where a project's events are sent."""

    __tablename__ = "webhooks"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    url: Mapped[str]
    secret: Mapped[str]
    types: Mapped[list[Any]]
    disabled_because: Mapped[str | None]


class WebhookCursor(Table):
    """How far a webhook has read a job's log, and when it tries again; on the database's clock."""

    __tablename__ = "webhook_cursors"

    webhook_id: Mapped[str] = mapped_column(
        sa.ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[float]
    last_error: Mapped[str | None]
