"""The tables that the service keeps for itself: workers, answers, webhooks, usage, audit."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.declaring import OfJob, Owned, Table, Walled, of_parent


class Worker(Table):
    """A live supervisor, and what it has done since it started; ``seen_at`` is on the database's clock, in
    seconds since 1970."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    slots: Mapped[int]
    busy: Mapped[int]
    draining: Mapped[bool]
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=sa.text("'{}'"))
    started_at: Mapped[datetime]
    seen_at: Mapped[float]


class IdempotencyKey(Walled, Table):
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


class WebhookCursor(OfJob, Table):
    """How far a webhook has read a job's log, and when it tries again; on the database's clock."""

    __tablename__ = "webhook_cursors"

    webhook_id: Mapped[str] = of_parent("webhooks")
    job_id: Mapped[str] = of_parent("jobs")
    seq: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[float]
    last_error: Mapped[str | None]


class Usage(Walled, Table):
    """What a project has asked for on one day (UTC), for the limits that count by the day."""

    __tablename__ = "usage"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id"), primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    multiply_adds: Mapped[int]


class AuditEntry(Walled, Table):
    """Who did what to which object; each entry is chained to the one before of its project by SHA-256.

    The database refuses to change or delete one. No foreign key: it would lock the project behind those who
    count its jobs, and the log outlives all.
    """

    __tablename__ = "audit"
    __table_args__ = (sa.Index(None, "object_id"), {"sqlite_with_rowid": False})

    project_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    key_id: Mapped[str | None]
    role: Mapped[str]
    action: Mapped[str]
    object_id: Mapped[str | None]
    request_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    chain_sha256: Mapped[str]


class AuditHead(Walled, Table):
    """How many entries a project has, and the hash of the last: one that is cut off is missed."""

    __tablename__ = "audit_heads"
    __table_args__ = ({"sqlite_with_rowid": False},)

    project_id: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    chain_sha256: Mapped[str]
