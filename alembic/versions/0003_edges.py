"""Aliases, shared datasets, quotas, the audit log, workers' counts; on SQLite, epochs without a second tree;
on Postgres, row-level security."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SIZES = (("datasets", "size_bytes"), ("jobs", "kept_bytes"), ("models", "size_bytes"))
REFUSAL = "the audit log is append-only: see docs/audit.md"
TRIGGERS = {
    "audit_changed": ("UPDATE", "audit", "true"),
    "audit_deleted": ("DELETE", "audit", "true"),
    "audit_heads_put_back": ("UPDATE", "audit_heads", "NEW.count < OLD.count"),
    "audit_heads_deleted": ("DELETE", "audit_heads", "true"),
}
QUOTAS = (
    *("max_datasets", "max_architectures", "max_aliases", "max_bytes"),
    *("max_multiply_adds_per_day", "max_requests_per_minute"),
)
KEPT = """UPDATE jobs SET kept_bytes = coalesce((
    SELECT sum(blobs.size) FROM snapshots JOIN blobs ON blobs.sha256 = snapshots.content
    WHERE snapshots.job_id = jobs.id), 0)
    + coalesce((SELECT size FROM blobs WHERE sha256 = jobs.initial_parameters), 0)"""
TAKEN = """UPDATE models SET size_bytes = coalesce((
    SELECT size FROM blobs WHERE sha256 = models.parameters), 0)"""

PROJECT = "(SELECT current_setting('chainrule.project', true))"
OF_PROJECT = (
    *("aliases", "architectures", "audit", "audit_heads", "datasets", "idempotency_keys", "jobs", "keys"),
    *("models", "usage", "webhooks"),
)
OF_JOB = ("epochs", "events", "snapshots", "webhook_cursors")
OWN = {
    "projects": f"id = {PROJECT}",
    **dict.fromkeys(OF_PROJECT, f"project_id = {PROJECT}"),
    **{  # names of our own
        table: f"EXISTS (SELECT 1 FROM jobs WHERE jobs.id = {table}.job_id AND jobs.project_id = {PROJECT})"  # noqa: S608 # nosec B608
        for table in OF_JOB
    },
}
"""By table, the rows of the project that a session is bound to. Whoever owns the tables sees all of them."""

_BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
REQUESTED = {
    "sqlite": "json_extract(requested, '$.initial_model_id')",
    "postgresql": "requested ->> 'initial_model_id'",
}


def upgrade() -> None:
    for name in QUOTAS:
        op.add_column("projects", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("projects", sa.Column("created_by", sa.String(), nullable=True))
    op.add_column("datasets", sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("datasets", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        op.f("ix_datasets_shared"),
        "datasets",
        ["id"],
        sqlite_where=sa.text("shared = 1"),
        postgresql_where=sa.text("shared"),
    )
    for table, name in (("jobs", "multiply_adds"), *SIZES[1:]):
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(KEPT)
    op.execute(TAKEN)
    for table, name in SIZES:
        op.create_index(op.f(f"ix_{table}_project_id_{name}"), table, ["project_id", name])
    op.add_column("workers", sa.Column("counts", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("jobs", sa.Column("charged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("initial_model_id", sa.String(), nullable=True))
    requested = REQUESTED[op.get_bind().dialect.name]
    op.execute(f"UPDATE jobs SET initial_model_id = {requested}")  # noqa: S608 (ours) # nosec B608
    op.create_table(
        "aliases",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", _BYTEWISE, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_aliases_model_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_aliases_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_model_id"), "aliases", ["model_id"])
    op.create_table(
        "usage",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("multiply_adds", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_usage_project_id")),
        sa.PrimaryKeyConstraint("project_id", "day", name=op.f("pk_usage")),
    )
    op.create_table(
        "audit",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("chain_sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "seq", name=op.f("pk_audit")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_audit_object_id"), "audit", ["object_id"])
    op.create_table(
        "audit_heads",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("chain_sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_audit_heads")),
        sqlite_with_rowid=False,
    )
    _make_append_only()
    if op.get_context().dialect.name != "sqlite":
        _wall_in()
    op.add_column("keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    _let_go_of_histories()


def _make_append_only() -> None:
    if op.get_context().dialect.name == "sqlite":
        for name, (change, table, condition) in TRIGGERS.items():
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {change} ON {table} WHEN {condition} "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for name, (change, table, condition) in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW WHEN ({condition}) "
            "EXECUTE FUNCTION refuse_audit_change()"
        )
    for table in ("audit", "audit_heads"):
        op.execute(
            f"CREATE TRIGGER {table}_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
        )


def _wall_in() -> None:
    for table, own in OWN.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own ON {table} USING ({own})")
    op.execute("CREATE POLICY shared ON datasets FOR SELECT USING (shared)")
    # To lock a row counts as to update it; an update itself would come to a row of another project's.
    op.execute(f"CREATE POLICY locked ON datasets FOR UPDATE USING (shared) WITH CHECK ({OWN['datasets']})")


def _pull_down() -> None:
    op.execute("DROP POLICY locked ON datasets")
    op.execute("DROP POLICY shared ON datasets")
    for table in OWN:
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


HISTORIES = ("epochs", "events")


def _let_go_of_histories() -> None:
    """A deleted job does not take its history along at once: see `app.jobs.leftovers`."""
    for table in HISTORIES:
        options = {"sqlite_with_rowid": table != "epochs"}
        with op.batch_alter_table(table, table_kwargs=options) as batch:
            batch.drop_constraint(op.f(f"fk_{table}_job_id"), type_="foreignkey")


def _hold_on_to_histories() -> None:
    for table in HISTORIES:
        op.execute(f"DELETE FROM {table} WHERE job_id NOT IN (SELECT id FROM jobs)")  # noqa: S608 (ours) # nosec B608
        with op.batch_alter_table(table, table_kwargs={"sqlite_with_rowid": True}) as batch:
            batch.create_foreign_key(
                op.f(f"fk_{table}_job_id"), "jobs", ["job_id"], ["id"], ondelete="CASCADE"
            )


def downgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        _pull_down()
    _hold_on_to_histories()
    op.drop_column("keys", "last_used_at")
    op.drop_table("audit_heads")
    op.drop_table("audit")
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_audit_change()")
    op.drop_table("usage")
    op.drop_index(op.f("ix_aliases_model_id"), "aliases")
    op.drop_table("aliases")
    op.drop_column("workers", "counts")
    for table, name in SIZES:
        op.drop_index(op.f(f"ix_{table}_project_id_{name}"), table)
    for table, name in (("jobs", "multiply_adds"), *SIZES[1:]):
        op.drop_column(table, name)
    op.drop_column("jobs", "initial_model_id")
    op.drop_column("jobs", "charged_at")
    op.drop_index(op.f("ix_datasets_shared"), "datasets")
    op.drop_column("datasets", "last_used_at")
    op.drop_column("datasets", "shared")
    op.drop_column("projects", "created_by")
    for name in QUOTAS:
        op.drop_column("projects", name)
