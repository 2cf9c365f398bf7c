"""What the database itself can say of its pages, its indexes and what its rows refer to."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from app.checks.finding import DATABASE, Finding
from app.storage import migration

AMCHECK = """SELECT c.relname, bt_index_check(c.oid, true) FROM pg_class c
JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.amname = 'btree' AND i.indisvalid AND n.nspname = current_schema() AND c.relname = :index"""
DAMAGED = ("XX001", "XX002")
INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"


def schema(connection: sa.Connection) -> Iterator[Finding]:
    there, ours = migration.revision_of(connection), migration.head()
    if there is None:
        yield Finding("There is nothing in this database.", "Name the right one, or run `migrate`.")
    elif there not in migration.revisions():
        yield Finding(f"The schema {there} is newer than this program's.", "Check it with that program.")
    elif there != ours:
        yield Finding(f"The schema is {there}, and this program needs {ours}.", "Run `migrate` first.")


def pages(connection: sa.Connection) -> Iterator[Finding]:
    return _sqlite(connection) if connection.dialect.name == "sqlite" else _postgres(connection)


def _sqlite(connection: sa.Connection) -> Iterator[Finding]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield Finding(f"integrity_check: {line}.", DATABASE)
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        what = f"Row {row} of {table} refers to a row of {parent} that does not exist."
        yield Finding(what, DATABASE)
    for table, column in _columns(connection, sa.JSON):
        # The names are those of the catalogue, here and below.
        broken = f'SELECT count(*) FROM "{table}" WHERE NOT json_valid("{column}")'  # noqa: S608 # nosec B608
        if count := connection.exec_driver_sql(broken).scalar():
            yield Finding(f"{count} rows of {table} have no JSON in {column}.", DATABASE)


def _postgres(connection: sa.Connection) -> Iterator[Finding]:
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        for key in inspector.get_foreign_keys(table):
            theirs = key["referred_table"]
            pairs = [*zip(key["constrained_columns"], key["referred_columns"], strict=True)]
            same = " AND ".join(f'o."{ours}" = t."{other}"' for ours, other in pairs)
            given = " AND ".join(f'o."{ours}" IS NOT NULL' for ours, _ in pairs)
            orphans = (
                f'SELECT count(*) FROM "{table}" o WHERE {given} '  # noqa: S608 # nosec B608
                f'AND NOT EXISTS (SELECT 1 FROM "{theirs}" t WHERE {same})'
            )
            if count := connection.exec_driver_sql(orphans).scalar():
                what = f"{count} rows of {table} refer to rows of {theirs} that do not exist."
                yield Finding(what, DATABASE)
    if not connection.scalar(sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'")):
        return
    for index in connection.scalars(sa.text(INDEXES)).all():
        try:
            with connection.begin_nested():
                connection.execute(sa.text(AMCHECK), {"index": index}).all()
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in DAMAGED:  # as where we may not look
                return
            yield Finding(f"The index {index} is damaged: {error.orig}.", f"REINDEX INDEX {index};")


def _columns(connection: sa.Connection, kind: type[Any]) -> Iterator[tuple[str, str]]:
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        for column in inspector.get_columns(table):
            if isinstance(column["type"], kind):
                yield table, column["name"]
