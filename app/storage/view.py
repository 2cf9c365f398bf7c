"""One state of a whole database and its blobs, for as long as it takes to read; writers go on meanwhile."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from app.storage.database import Database


@contextmanager
def view(database: Database, blobs: Path) -> Iterator[sa.Connection]:
    """A connection that sees one state; the files in ``blobs`` that belong to it stay until the block ends.

    A SQLite that cannot read beside a writer (see `Database.wal`) is copied first: those who write wait for
    as long as that takes.
    """
    if not database.is_sqlite:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with database.engine.connect().execution_options(**options) as connection:
            connection.execute(sa.text("SELECT 1"))  # it is this that begins it
            yield connection
        return
    with _hold(blobs):
        if database.wal:
            with database.engine.connect() as connection:
                connection.execute(sa.text("SELECT count(*) FROM sqlite_master"))  # the same
                yield connection
            return
        assert database.path is not None
        with tempfile.TemporaryDirectory(prefix=".view-", dir=database.path.parent) as scratch:
            copied = Path(scratch) / "copy.sqlite"
            copy(database, copied)
            other = Database(f"sqlite:///{copied}", 1)
            try:
                with other.engine.connect() as connection:
                    yield connection
            finally:
                other.close()


def copy(database: Database, destination: Path) -> None:
    """Write one state of a SQLite database to a new file, without the free room of the old one."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")  # VACUUM INTO runs outside of a transaction
        connection.exec_driver_sql("VACUUM INTO ?", (str(destination),))


@contextmanager
def _hold(blobs: Path) -> Iterator[None]:
    """Until the block ends nobody deletes a file of ``blobs``; the kernel forgets it when we die."""
    blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(blobs, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def deleting(blobs: Path) -> Iterator[bool]:
    """Whether files of ``blobs`` may be deleted in this block: not while somebody has a `view` of them."""
    handle = os.open(blobs, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
