"""A model that was imported has no job, epoch or dataset: null, instead of the empty text and 0."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS: dict[str, tuple[sa.types.TypeEngine[str | int], str]] = {
    "job_id": (sa.String(), "''"),
    "epoch": (sa.BigInteger(), "0"),
    "dataset_id": (sa.String(), "''"),
    "dataset_sha256": (sa.String(), "''"),
}
"""Their types, and what stood there for nothing."""


def upgrade() -> None:
    _turn(nullable=True)
    op.execute("UPDATE models SET epoch = NULL WHERE job_id = ''")
    for name in ("job_id", "dataset_id", "dataset_sha256"):
        op.execute(f"UPDATE models SET {name} = NULL WHERE {name} = ''")  # noqa: S608 (ours) # nosec B608


def downgrade() -> None:
    for name, (_, nothing) in COLUMNS.items():
        op.execute(f"UPDATE models SET {name} = {nothing} WHERE {name} IS NULL")  # noqa: S608 (ours) # nosec B608
    _turn(nullable=False)


def _turn(*, nullable: bool) -> None:
    """SQLite cannot take NOT NULL from a column, and aliases and evaluations hold on to the table: so each
    column is made anew, beside the old one. On Postgres, too: a backup goes from one to the other, and has
    the columns in their order."""
    op.drop_index(op.f("ix_models_job_id"), "models")
    for name, (kind, nothing) in COLUMNS.items():
        default = None if nullable else sa.text(nothing)
        op.add_column("models", sa.Column(f"{name}_", kind, nullable=nullable, server_default=default))
        op.execute(f"UPDATE models SET {name}_ = {name}")  # noqa: S608 (ours) # nosec B608
        op.drop_column("models", name)
        op.execute(f"ALTER TABLE models RENAME COLUMN {name}_ TO {name}")
    op.create_index(op.f("ix_models_job_id"), "models", ["job_id"])
