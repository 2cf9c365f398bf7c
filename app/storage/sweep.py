"""Deletes blobs that nothing names: their objects were deleted, or somebody died before naming them."""

import contextlib
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.blobs import AT_ONCE, IS_UNNAMED, Blobs, delete_chunks
from app.storage.tables import Blob, BlobChunk
from app.storage.view import deleting

GRACE_SECONDS = 3600.0

UNNAMED = (
    sa.select(Blob.sha256)
    .where(Blob.sha256 > sa.bindparam("after"), IS_UNNAMED)
    .order_by(Blob.sha256)
    .limit(AT_ONCE)
)


class Sweep:
    """Of one database's blobs; several processes may have one each, and run them at once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._database = blobs.database
        self._chunks: set[str] = set()

    def run(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Delete what no row names and nothing has staged lately; return how many blobs.

        A file must be ``grace_seconds`` old; none goes while a backup is made. Chunks (Postgres) have no age:
        they go when the run before this one saw them without a name too. Rows are written with what names
        them, so they go at once.
        """
        deleted = self._rows()
        if self._database.is_sqlite:
            return deleted + self._files(time.time() - grace_seconds)
        return deleted + self._unnamed_chunks()

    def _rows(self) -> int:
        deleted, after = 0, ""
        while True:
            with self._database.reading() as session:
                found = session.scalars(UNNAMED, {"after": after}).all()
            if not found:
                return deleted
            with self._database.writing() as session:
                deleted += len(self._blobs.release(session, *found))
            after = found[-1]

    def _files(self, old: float) -> int:
        deleted = total = size = 0
        for path in self._blobs.directory.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                size = path.stat().st_size
                total += size
            with self._database.reading() as session:
                if not _is_unnamed(session, path, old):
                    continue
            # Looked at again under the writer lock: it may have been staged, and named, since.
            with self._database.writing() as session, deleting(self._blobs.directory) as free:
                if not free:
                    return deleted
                if _is_unnamed(session, path, old):
                    path.unlink(missing_ok=True)
                    deleted += 1
                    total -= size
        self._blobs.file_bytes = total
        return deleted

    def _unnamed_chunks(self) -> int:
        named = sa.exists().where(Blob.sha256 == BlobChunk.sha256)
        with self._database.reading() as session:
            unnamed = set(session.scalars(sa.select(BlobChunk.sha256).where(~named).distinct()))
        twice, self._chunks = unnamed & self._chunks, unnamed
        deleted = 0
        for sha256 in twice:
            with self._database.writing() as session:
                self._blobs.lock(session, [sha256])
                if session.get(Blob, sha256) is None:
                    delete_chunks(session, sha256)
                    deleted += 1
        return deleted


def _is_unnamed(session: Session, path: Path, old: float) -> bool:
    try:
        return path.stat().st_mtime <= old and session.get(Blob, path.name) is None
    except FileNotFoundError:
        return False
