"""Evaluations of models that are kept."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PROJECT = "(SELECT current_setting('chainrule.project', true))"


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_evaluations_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_evaluations_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index(op.f("ix_evaluations_project_id_id"), "evaluations", ["project_id", "id"])
    op.create_index(op.f("ix_evaluations_model_id_id"), "evaluations", ["model_id", "id"])
    if op.get_context().dialect.name != "sqlite":
        op.execute("ALTER TABLE evaluations ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own ON evaluations USING (project_id = {PROJECT})")


def downgrade() -> None:
    op.drop_table("evaluations")
