"""Keyset pages over ids, which sort by time of creation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

Row = TypeVar("Row", bound=Any)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted."""

    limit: int = 20
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    equal: Mapping[str, str | bool] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def narrowed(self, **equal: str | bool) -> "Window":
        """The same window on fewer rows: those with these values, too."""
        return replace(self, equal={**self.equal, **equal})


def page(
    session: Session, table: type[Row], project_id: str, window: Window, *, shared: bool = False
) -> tuple[Sequence[Row], bool]:
    """The rows of one project in that window, and whether there are more behind it.

    With ``shared`` they are those that any project shares.
    """
    statement = sa.select(table).where(table.shared if shared else table.project_id == project_id)
    for name, value in window.equal.items():
        statement = statement.where(getattr(table, name) == value)
    for name, value in window.labels.items():
        statement = statement.where(_label(session, table, name) == value)
    upward = window.order == "asc"
    if window.after is not None:
        statement = statement.where(table.id > window.after if upward else table.id < window.after)
    statement = statement.order_by(table.id if upward else table.id.desc())
    rows = session.scalars(statement.limit(window.limit + 1)).all()
    return rows[: window.limit], len(rows) > window.limit


def _label(session: Session, table: type[Row], name: str) -> sa.ColumnElement[str | None]:
    if session.get_bind().dialect.name != "sqlite":
        path: sa.ColumnElement[str | None] = table.labels[name].as_string()
        return path
    # SQLite's JSON paths have no way to spell every name.
    members = sa.func.json_each(table.labels).table_valued("key", "value")
    return sa.select(members.c.value).where(members.c.key == name).scalar_subquery()
