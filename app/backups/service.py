"""Backup, restore and copy, as the command line has them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.backups import archive, files, filling
from app.backups.flow import Passed, Progress, Refused, pour
from app.backups.seen import Seen
from app.storage.columns import now
from app.storage.database import Database
from app.storage.view import view


def backup(url: str, blobs: Path, path: Path, progress: Progress) -> Passed:
    """Write everything, as of one moment, to a new file; training and requests go on. Raises Refused."""
    with _opened(url) as database, files.writing(path) as file, view(database, blobs) as connection:
        seen = Seen(connection, blobs)
        header = {"revision": seen.revision, "created_at": now().isoformat(), "tables": seen.shapes}
        writer = archive.Writer(file, header)
        passed = pour(seen, writer, progress)
        writer.close(passed)
        return passed


def restore(path: Path, url: str, blobs: Path, progress: Progress) -> Passed:
    """Make a database out of a backup. Raises Refused."""
    with path.open("rb") as file:
        return filling.fill(url, blobs, archive.Reader(file), progress)


def copy(url: str, to_url: str, progress: Progress) -> Passed:
    """Make a database that has everything which another has at this moment. Raises Refused.

    The large blobs of a SQLite file are in the directory ``blobs`` beside it.
    """
    with _opened(url) as database:
        blobs = _beside(database)
        with closing(Database(to_url)) as target:
            there = _beside(target)
        if database.is_sqlite and there.resolve() == blobs.resolve():
            raise Refused(f"Both would have their large blobs in {blobs}: choose another directory.")
        with view(database, blobs) as connection:
            return filling.fill(to_url, there, Seen(connection, blobs), progress)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    """A database that is there already."""
    database = Database(url, 2, patience=None, idle_seconds=0)
    if database.path is not None and not database.path.exists():
        raise Refused(f"There is no database {database.path}.")
    try:
        yield database
    finally:
        database.close()


def _beside(database: Database) -> Path:
    return Path() if database.path is None else database.path.absolute().parent / "blobs"
