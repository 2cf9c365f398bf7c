"""A database as a source: everything in it, as of one moment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.backups.flow import Large, Passed, Refused
from app.backups.rows import READ, Row, Shape, converted, shapes
from app.storage import migration
from app.storage.blobs import CHUNK

AT_ONCE = 500
BLOBS_AT_ONCE = 32
"""Rows of up to 256 KiB."""


class Seen:
    """Of one connection, whose transaction has begun; ``blobs`` is the directory of SQLite's large ones."""

    def __init__(self, connection: sa.Connection, blobs: Path) -> None:
        revision = migration.revision_of(connection)
        if revision is None:
            raise Refused("There is no database, or nothing in it.")
        self.revision = revision
        self.shapes = shapes(connection)
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._blobs = blobs
        self._large: list[tuple[str, int]] = []

    def batches(self) -> Iterator[tuple[Shape, list[Row]]]:
        for shape in self.shapes:
            for rows in self._rows(shape):
                if shape.name == "blobs":
                    names = [name for name, _ in shape.columns]
                    sha256, size, data = (names.index(name) for name in ("sha256", "size", "data"))
                    self._large += [(row[sha256], row[size]) for row in rows if row[data] is None]
                yield shape, rows

    def large(self) -> Iterator[Large]:
        for sha256, size in self._large:
            parts = self._file(sha256) if self._is_sqlite else self._chunks(sha256)
            yield Large(sha256, size, parts)

    def finish(self, passed: Passed) -> None:
        pass

    def _rows(self, shape: Shape) -> Iterator[list[Row]]:
        wanted = [
            f'"{name}"' if self._is_sqlite or kind != "json" else f'"{name}"::text'
            for name, kind in shape.columns
        ]
        # The names are those of the catalogue.
        statement = f'SELECT {", ".join(wanted)} FROM "{shape.name}"'  # noqa: S608 # nosec B608
        few = BLOBS_AT_ONCE if shape.name == "blobs" else AT_ONCE
        cursor = self._driver.cursor() if self._is_sqlite else self._driver.cursor(name="seen")
        try:
            cursor.execute(statement)
            while rows := cursor.fetchmany(few):
                yield converted(shape, rows, READ[self._is_sqlite])
        finally:
            cursor.close()

    def _file(self, sha256: str) -> Iterator[bytes]:
        try:
            with (self._blobs / sha256[:2] / sha256).open("rb") as file:
                while part := file.read(CHUNK):
                    yield part
        except FileNotFoundError:
            raise Refused(
                f"Blob {sha256} has no file in {self._blobs}. `chainrule-server check` says what names it."
            ) from None

    def _chunks(self, sha256: str) -> Iterator[bytes]:
        statement = sa.text("SELECT data FROM blob_chunks WHERE sha256 = :sha256 AND number = :number")
        number = 0
        while (part := self._connection.scalar(statement, {"sha256": sha256, "number": number})) is not None:
            yield part
            number += 1
