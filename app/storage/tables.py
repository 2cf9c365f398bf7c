"""The whole schema on one page. ``alembic/`` moves a database to it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.declaring import Owned, Table, blob_reference, of_parent, project_reference


class Project(Table):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    max_datasets: Mapped[int | None]
    max_bytes: Mapped[int | None]
    max_multiply_adds_per_day: Mapped[int | None]
    max_requests_per_minute: Mapped[int | None]


class Key(Table):
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
    content: Mapped[str] = blob_reference()
    shared: Mapped[bool] = mapped_column(default=False)


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

    job_id: Mapped[str] = of_parent("jobs")
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

    job_id: Mapped[str] = of_parent("jobs")
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

    job_id: Mapped[str] = of_parent("jobs")
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
    parameters: Mapped[str] = blob_reference()
    sha256: Mapped[str]
    cost: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]


class Alias(Table):
    """A name that stands for a model of the same project."""

    __tablename__ = "aliases"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(sa.ForeignKey("models.id"), index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    updated_at: Mapped[datetime]


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

    webhook_id: Mapped[str] = of_parent("webhooks")
    job_id: Mapped[str] = of_parent("jobs")
    seq: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[float]
    last_error: Mapped[str | None]


class Usage(Table):
    """What a project has asked for on one day (UTC), for the limits that count by the day."""

    __tablename__ = "usage"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id"), primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    multiply_adds: Mapped[int]


class AuditEntry(Table):
    """Who did what to which object; each entry is chained to the one before of its project by SHA-256."""

    __tablename__ = "audit"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    key_id: Mapped[str | None]
    action: Mapped[str]
    object_id: Mapped[str | None]
    request_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    chain_sha256: Mapped[str]
