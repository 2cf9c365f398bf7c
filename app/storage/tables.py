"""The whole schema: what users have on this page, what the service keeps for itself in `service_tables`.

``alembic/`` moves a database to it.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.batch_tables import Batch as Batch
from app.storage.columns import BYTEWISE
from app.storage.comparing_tables import CrossValidation as CrossValidation
from app.storage.comparing_tables import Split as Split
from app.storage.declaring import (
    OfJob,
    Owned,
    Table,
    Walled,
    blob_reference,
    of_job,
    of_parent,
    project_reference,
)
from app.storage.model_tables import Evaluation as Evaluation
from app.storage.service_tables import AuditEntry as AuditEntry
from app.storage.service_tables import AuditHead as AuditHead
from app.storage.service_tables import IdempotencyKey as IdempotencyKey
from app.storage.service_tables import Usage as Usage
from app.storage.service_tables import Webhook as Webhook
from app.storage.service_tables import WebhookCursor as WebhookCursor
from app.storage.service_tables import Worker as Worker
from app.storage.upload_tables import Upload as Upload


class Project(Walled, Table):
    __tablename__ = "projects"
    owner_column = "id"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    max_datasets: Mapped[int | None]
    max_architectures: Mapped[int | None]
    max_aliases: Mapped[int | None]
    max_bytes: Mapped[int | None]
    max_multiply_adds_per_day: Mapped[int | None]
    max_requests_per_minute: Mapped[int | None]


class Key(Walled, Table):
    """An API key; only the SHA-256 of its secret is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_reference()
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    name: Mapped[str]
    role: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


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
    """``last_used_at``: the latest end of those of its jobs that have been deleted.

    One that is not ready has no ``sha256``, and for its ``content`` the blob of no bytes. ``lease_until``, on
    the database's clock: who reads its file is gone when that is over. ``error``: why it could not be read.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        sa.Index(None, "project_id", "id"),
        sa.Index(None, "project_id", "size_bytes"),
        sa.Index(
            "ix_datasets_shared", "id", sqlite_where=sa.text("shared = 1"), postgresql_where=sa.text("shared")
        ),
    )

    status: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    row_count: Mapped[int]
    columns: Mapped[list[Any]]
    warnings: Mapped[list[Any]]
    content: Mapped[str] = blob_reference()
    shared: Mapped[bool] = mapped_column(default=False)
    last_used_at: Mapped[datetime | None]
    lease_until: Mapped[float | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))

    @classmethod
    def seen_by(cls, project_id: Any) -> sa.ColumnElement[bool]:
        return sa.or_(cls.project_id == project_id, cls.shared)


class Architecture(Owned, Table):
    __tablename__ = "architectures"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    layers: Mapped[list[Any]]
    output: Mapped[dict[str, Any]]


class Job(Owned, Table):
    """One training run. ``fence`` grows with each claim; a worker's write is refused unless it is current.

    ``dataset_id`` and ``model_id`` are no foreign keys: a finished job outlives both. ``multiply_adds`` are
    those of one epoch; they count on the day of ``charged_at``, that of a retry, or else of the submission.
    ``kept_bytes`` is what the job may keep, and once it has ended, what it keeps.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        sa.Index(None, "project_id", "id"),
        sa.Index(None, "status", "priority", "id"),
        sa.Index("ix_jobs_line", "project_id", "status", sa.text("priority DESC"), "id"),
        sa.Index(None, "project_id", "kept_bytes"),
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
    initial_model_id: Mapped[str | None]
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
    multiply_adds: Mapped[int] = mapped_column(default=0)
    charged_at: Mapped[datetime | None]
    kept_bytes: Mapped[int] = mapped_column(default=0)
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


class Epoch(OfJob, Table):
    """One row of history. A cost that is not finite is NULL, and ``diverged`` says why."""

    __tablename__ = "epochs"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = of_job()
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cost: Mapped[float | None]
    data_cost: Mapped[float | None]
    validation_cost: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]
    learning_rate: Mapped[float]
    gradient_norm: Mapped[float | None]
    seconds: Mapped[float]
    diverged: Mapped[bool]


class Snapshot(OfJob, Table):
    """A state of a job; it goes on from that with the highest number. The row of a pruned one stays, for the
    chain of hashes, without its content."""

    __tablename__ = "snapshots"

    job_id: Mapped[str] = of_parent("jobs")
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    step: Mapped[int]
    content: Mapped[str | None] = mapped_column(sa.ForeignKey("blobs.sha256"), index=True)
    parameters_sha256: Mapped[str]
    chain_sha256: Mapped[str]
    kept: Mapped[bool]
    created_at: Mapped[datetime]


class Event(OfJob, Table):
    """One line of a job's log; ``seq`` counts 1, 2, … within the job, without gaps."""

    __tablename__ = "events"

    job_id: Mapped[str] = of_job()
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str]
    created_at: Mapped[datetime]
    level: Mapped[str]
    type: Mapped[str]
    message: Mapped[str]
    data: Mapped[dict[str, Any]]


class Model(Owned, Table):
    """Of an imported one ``job_id``, ``epoch`` and ``dataset_id`` are null, and ``dataset_sha256`` is what
    its file says, if anything."""

    __tablename__ = "models"
    __table_args__ = (
        sa.Index(None, "project_id", "id"),
        sa.Index(None, "project_id", "size_bytes"),
        sa.Index(None, "job_id"),
    )

    job_id: Mapped[str | None]
    epoch: Mapped[int | None]
    dataset_id: Mapped[str | None]
    dataset_sha256: Mapped[str | None]
    task: Mapped[str]
    architecture: Mapped[dict[str, Any]]
    training: Mapped[dict[str, Any]]
    encoding: Mapped[dict[str, Any]]
    parameter_count: Mapped[int]
    parameters: Mapped[str] = blob_reference()
    size_bytes: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str]
    cost: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]


class Alias(Walled, Table):
    """A name that stands for a model of the same project."""

    __tablename__ = "aliases"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id"), primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    model_id: Mapped[str] = mapped_column(sa.ForeignKey("models.id"), index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    updated_at: Mapped[datetime]
