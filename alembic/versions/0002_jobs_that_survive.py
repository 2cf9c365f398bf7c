"""Snapshots that are chained, jobs that pause and are tried again, idempotency keys, limits, webhooks.

The snapshots of the first schema have no hashes: they go, and a job that has not ended begins anew.
"""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _drop_snapshots()
    op.create_table(
        "snapshots",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("parameters_sha256", sa.String(), nullable=False),
        sa.Column("chain_sha256", sa.String(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["blobs.sha256"], name=op.f("fk_snapshots_content")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_snapshots_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_content"), "snapshots", ["content"])
    for column in (
        sa.Column("retries", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("paused_because", sa.JSON(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_count", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("split", sa.JSON(), nullable=True),
    ):
        op.add_column("jobs", column)
    op.create_index("ix_jobs_line", "jobs", ["project_id", "status", sa.text("priority DESC"), "id"])
    op.create_index(op.f("ix_jobs_initial_parameters"), "jobs", ["initial_parameters"])
    for name in ("max_running", "max_queued"):
        op.add_column("projects", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("workers", sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("kept_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_kept_until"), "idempotency_keys", ["kept_until"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("disabled_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_webhooks_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_project_id_id"), "webhooks", ["project_id", "id"])
    op.create_table(
        "webhook_cursors",
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.Double(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_cursors_webhook_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_webhook_cursors_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", "job_id", name=op.f("pk_webhook_cursors")),
    )


def _drop_snapshots() -> None:
    op.drop_index(op.f("ix_snapshots_content"), "snapshots")
    op.drop_table("snapshots")


def downgrade() -> None:
    op.drop_table("webhook_cursors")
    op.drop_index(op.f("ix_webhooks_project_id_id"), "webhooks")
    op.drop_table("webhooks")
    op.drop_index(op.f("ix_idempotency_keys_kept_until"), "idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_column("workers", "draining")
    for name in ("max_running", "max_queued"):
        op.drop_column("projects", name)
    op.drop_index("ix_jobs_line", "jobs")
    op.drop_index(op.f("ix_jobs_initial_parameters"), "jobs")
    for name in ("retries", "paused_because", "memory_bytes", "snapshot_count", "version", "split"):
        op.drop_column("jobs", name)
    _drop_snapshots()
    op.create_table(
        "snapshots",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["blobs.sha256"], name=op.f("fk_snapshots_content")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_snapshots_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_content"), "snapshots", ["content"])
