"""Rows in a form that is the same whatever database they come from: lines of JSON, and their sum."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pydantic_core
import sqlalchemy as sa

Row = list[Any]
"""What JSON can say: times as ``2026-11-25T04:30:00.000000Z``, bytes as base64, JSON columns as text."""

KINDS: dict[type[sa.types.TypeEngine[Any]], str] = {
    sa.Boolean: "boolean",
    sa.JSON: "json",
    sa.DateTime: "time",
    sa.LargeBinary: "bytes",
    sa.Float: "float",
    sa.Integer: "integer",
    sa.String: "text",
}
OF_ITS_HOST = frozenset({"alembic_version", "uploads", "workers"})
"""Tables that say nothing to another host; the revision of the schema is kept apart."""

CHUNKS = "blob_chunks"
MODULUS = 2**256


class Shape(NamedTuple):
    """A table: its columns, each with its kind."""

    name: str
    columns: tuple[tuple[str, str], ...]


def shapes(connection: sa.Connection) -> list[Shape]:
    """The tables as they are there, those that others refer to first. Bytes of large blobs are no rows."""
    inspector = sa.inspect(connection)
    names = [name for name, _ in inspector.get_sorted_table_and_fkc_names() if name is not None]
    return [
        Shape(name, tuple((each["name"], _kind(each["type"])) for each in inspector.get_columns(name)))
        for name in names
        if name not in OF_ITS_HOST and name != CHUNKS
    ]


def _kind(type_: sa.types.TypeEngine[Any]) -> str:
    return next(kind for each, kind in KINDS.items() if isinstance(type_, each))


def encode(row: Row) -> bytes:
    return pydantic_core.to_json(row, inf_nan_mode="constants")


def decode(line: bytes) -> Row:
    row: Row = pydantic_core.from_json(line)
    return row


@dataclass(slots=True)
class Tally:
    """How many rows, and the sum of their hashes: equal for the same rows, in whatever order."""

    rows: int = 0
    total: int = 0

    def add(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if b"-0.0" in line:  # SQLite keeps no sign of zero
                line = encode([each + 0.0 if isinstance(each, float) else each for each in decode(line)])
            self.total = (self.total + int.from_bytes(hashlib.sha256(line).digest())) % MODULUS
            self.rows += 1

    def answer(self) -> dict[str, Any]:
        return {"rows": self.rows, "sha256_sum": f"{self.total:064x}"}


Convert = Callable[[Any], Any]


def _utc(value: Any) -> str:
    """SQLite keeps text in UTC, Postgres moments."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


READ: dict[bool, dict[str, Convert]] = {
    True: {"boolean": bool, "time": _utc, "bytes": lambda value: base64.b64encode(value).decode()},
    False: {"time": _utc, "bytes": lambda value: base64.b64encode(value).decode()},
}
WRITE: dict[bool, dict[str, Convert]] = {
    True: {"boolean": int, "time": lambda value: value[:-1].replace("T", " "), "bytes": base64.b64decode},
    False: {"bytes": base64.b64decode},
}
"""By whether it is SQLite, and by kind; a value of another kind is its own form."""


def converted(shape: Shape, rows: Iterable[Sequence[Any]], converts: dict[str, Convert]) -> list[Row]:
    """The rows, each value but NULL by the convert of its column's kind."""
    places = [(place, converts[kind]) for place, (_, kind) in enumerate(shape.columns) if kind in converts]
    found = [list(row) for row in rows]
    for row in found:
        for place, convert in places:
            if row[place] is not None:
                row[place] = convert(row[place])
    return found
