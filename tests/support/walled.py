"""A row of each kind in each of two projects, made without knowing what the columns mean."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.columns import UtcDateTime
from app.storage.database import Database
from app.storage.declaring import Table, Walled

PROJECTS = ("ours", "theirs")
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
VALUES: dict[type, Any] = {bool: False, int: 1, float: 1.0, bytes: b"x", object: {}}


def walled_classes() -> list[type[Any]]:
    found = [each.class_ for each in Table.registry.mappers if issubclass(each.class_, Walled)]
    return sorted(found, key=lambda each: each.__tablename__)


def fill(database: Database) -> None:
    """One row in each table for each project; where a table has no project, one that both name."""
    with database.writing() as session:
        for table in Table.metadata.sorted_tables:
            owned = any(table is each.__table__ for each in walled_classes())
            for project in PROJECTS if owned else ("both",):
                session.execute(sa.insert(table).values(row_of(table, project)))


def row_of(table: sa.Table, project: str) -> dict[str, Any]:
    return {each.name: _value(each, project) for each in table.columns}


def _value(column: sa.Column[Any], project: str) -> Any:
    for key in column.foreign_keys:
        if key.column.table.name == "blobs":
            return "both"
    if isinstance(column.type, UtcDateTime):
        return MOMENT
    kind = column.type.python_type
    return project if kind is str else VALUES[kind]


def projects_seen(session: Session, table: type[Any]) -> set[str]:
    """Of which projects a query that names none sees rows."""
    key = table.job_id if table.owner_column is None else getattr(table, table.owner_column)
    return set(session.scalars(sa.select(key)))
