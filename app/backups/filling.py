"""An empty database as a sink: filled, read back and held against what went in, and only then to be had."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.backups.files import alone, publish
from app.backups.flow import Passed, Progress, Refused, Source, pour
from app.backups.rows import WRITE, Row, Shape, converted, shapes
from app.backups.seen import Seen
from app.jobs.states import HELD
from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.database import Database


class Filling:
    """Rows and bytes into one open transaction."""

    def __init__(self, connection: sa.Connection, blobs: Blobs) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._is_sqlite = blobs.database.is_sqlite
        self._blobs = blobs
        self._known = {shape.name: set(shape.columns) for shape in shapes(connection)}

    def take(self, shape: Shape, rows: list[Row], lines: list[bytes]) -> None:
        if set(shape.columns) != self._known.get(shape.name):
            raise Refused(f"The table {shape.name} is not what its schema says: was it changed by hand?")
        columns = ", ".join(f'"{name}"' for name, _ in shape.columns)
        values = converted(shape, rows, WRITE[self._is_sqlite])
        if self._is_sqlite:
            marks = ", ".join("?" * len(shape.columns))
            # The names are those of the catalogue: see above.
            statement = f'INSERT INTO "{shape.name}" ({columns}) VALUES ({marks})'  # noqa: S608 # nosec B608
            self._connection.exec_driver_sql(statement, [tuple(row) for row in values])
            return
        with (
            self._driver.cursor() as cursor,
            cursor.copy(f'COPY "{shape.name}" ({columns}) FROM STDIN') as pipe,
        ):
            for row in values:
                pipe.write_row(row)

    def take_large(self, sha256: str, size: int, parts: Iterator[bytes]) -> None:
        with Session(self._connection) as session:
            self._blobs.fill(session, sha256, parts)
            session.flush()


def fill(url: str, blobs: Path, source: Source, progress: Progress) -> Passed:
    """Everything of the source into the database at ``url``, which must be empty; what the source's host had
    in hand is free for another. It is there whole, verified and with the newest schema, or not at all.

    Raises Refused.
    """
    with _empty(url, source.revision) as database:
        with database.engine.execution_options(writing=True).begin() as connection:
            if not database.is_sqlite:
                _lock_empty(connection)
            passed = pour(source, Filling(connection, Blobs(database, blobs)), progress)
            source.finish(passed)
            _verify(connection, blobs, passed)
            _free(connection)
        migration.upgrade(database, keep_copy=False)
    return passed


def _verify(connection: sa.Connection, blobs: Path, passed: Passed) -> None:
    """Read everything back."""
    there = pour(Seen(connection, blobs), None, lambda *_: None)
    for name, tally in there.tables.items():
        if tally != passed.tables.get(name, type(tally)()):
            raise Refused(f"The rows of {name} came out other than they went in.")
    if there.blobs != passed.blobs:
        raise Refused("Large blobs came out other than they went in.")


def _free(connection: sa.Connection) -> None:
    """What a worker of the old host held goes on from its last snapshot, wherever it is claimed next."""
    states = ", ".join(f"'{state}'" for state in HELD)
    where = f"status IN ({states})"  # words of our own
    freed = f"UPDATE jobs SET worker_id = NULL, lease_until = 0 WHERE {where}"  # noqa: S608 # nosec B608
    connection.execute(sa.text(freed))


@contextmanager
def _empty(url: str, revision: str) -> Iterator[Database]:
    """A database with that schema and nothing in it."""
    if revision not in migration.revisions():
        raise Refused("This was written by a newer Chainrule: use that, or a newer one.")
    database = Database(url, 2, patience=None, idle_seconds=0)
    if database.path is not None:
        with _new_file(database.path.absolute()) as partial:
            database = Database(f"sqlite:///{partial}", 2)
            try:
                migration.upgrade(database, revision)
                yield database
                with database.engine.connect() as connection:
                    connection.exec_driver_sql("COMMIT")
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                database.close()
        return
    try:
        there = migration.current(database)
        if there is None:
            migration.upgrade(database, revision)
        elif there != revision:
            raise Refused(
                f"This database has the schema {there}, and what is to go into it has {revision}: give it "
                "one that has no tables yet."
            )
        yield database
    finally:
        database.close()


def _lock_empty(connection: sa.Connection) -> None:
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({migration.MIGRATION_LOCK})"))
    for shape in shapes(connection):
        # The names are those of the catalogue.
        occupied = f'SELECT EXISTS (SELECT 1 FROM "{shape.name}")'  # noqa: S608 # nosec B608
        if connection.scalar(sa.text(occupied)):
            raise Refused(f"This database is not empty, there are {shape.name}: give it one that is.")


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Where to make a SQLite database, which has its own name when the block ends, and not before."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        raise Refused(f"{path} exists: choose another data directory, or move it away first, with its -wal.")
    for log in (path.with_name(f"{path.name}{each}") for each in ("-wal", "-journal")):
        if log.exists() and log.stat().st_size:  # SQLite would take its pages for the new database's
            raise Refused(f"{log} belongs to a database that is not there: move it away, to where that is.")
    partial = path.with_name(f".{path.name}.restoring")
    with partial.open("ab") as lock:
        if not alone(lock, partial):
            raise Refused(f"Another process makes {path} already.")
        try:
            for left in path.parent.glob(f"{partial.name}?*"):
                left.unlink()
            partial.write_bytes(b"")
            yield partial
            publish(partial, path)
        finally:
            for left in path.parent.glob(f"{partial.name}*"):
                left.unlink()
