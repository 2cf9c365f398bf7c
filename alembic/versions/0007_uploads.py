"""Datasets that are still being read, and files that come in parts."""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OWN = "project_id = (SELECT current_setting('chainrule.project', true))"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("error", sa.JSON(), nullable=True))
    op.add_column("datasets", sa.Column("lease_until", sa.Double(), nullable=True))
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("charset", sa.String(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("kept_until", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_uploads_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_project_id_id"), "uploads", ["project_id", "id"])
    if op.get_context().dialect.name != "sqlite":
        op.execute("ALTER TABLE uploads ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own ON uploads USING ({OWN})")


def downgrade() -> None:
    """What is still being read, or could not be, is no dataset of the schema before."""
    op.execute("DELETE FROM datasets WHERE status <> 'ready'")
    op.drop_index(op.f("ix_uploads_project_id_id"), "uploads")
    op.drop_table("uploads")
    op.drop_column("datasets", "lease_until")
    op.drop_column("datasets", "error")
