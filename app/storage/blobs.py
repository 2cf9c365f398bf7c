"""Content-addressed bytes: small ones in their row, large ones as files beside SQLite or chunks in Postgres.

A large blob is staged before the transaction that names it, so that the transaction stays short: a
100 MB value holds SQLite's only write lock for half a second.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.storage.database import Database
from app.storage.tables import Blob, BlobChunk, Dataset, Job, Model, Snapshot

IN_ROW = 256 * 1024
CHUNK = 4 * 2**20
GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes that are safely kept but that no transaction has named yet."""

    sha256: str
    size: int
    data: bytes | None


class Blobs:
    """The blobs of one database; ``directory`` holds the files when it is SQLite."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.directory = directory

    def path(self, sha256: str) -> Path:
        return self.directory / sha256[:2] / sha256

    def stage(self, content: bytes | Path) -> Staged:
        """Keep the bytes (of a file, when given a path) ahead of `attach`."""
        if isinstance(content, Path) and content.stat().st_size <= IN_ROW:
            content = content.read_bytes()
        if isinstance(content, bytes) and len(content) <= IN_ROW:
            return Staged(hashlib.sha256(content).hexdigest(), len(content), content)
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(content):
            digest.update(chunk)
            size += len(chunk)
        staged = Staged(digest.hexdigest(), size, None)
        if self.database.is_sqlite:
            self._write_file(staged.sha256, content)
        else:
            self._write_chunks(staged.sha256, content)
        return staged

    def attach(self, session: Session, staged: Staged) -> None:
        """Name the staged bytes inside a transaction; the same bytes twice are one blob."""
        insert = sqlite.insert if self.database.is_sqlite else postgresql.insert
        row = {"sha256": staged.sha256, "size": staged.size, "data": staged.data}
        session.execute(insert(Blob).values(row).on_conflict_do_nothing())

    def read(self, session: Session, sha256: str) -> bytes:
        blob = session.get_one(Blob, sha256)
        if blob.data is not None:
            return blob.data
        if self.database.is_sqlite:
            return self.path(sha256).read_bytes()
        return b"".join(self._read_chunks(session, sha256))

    def copy(self, session: Session, sha256: str, destination: Path) -> None:
        """Write a blob to a file, with bounded memory."""
        blob = session.get_one(Blob, sha256)
        with destination.open("wb") as file:
            if blob.data is not None:
                file.write(blob.data)
            elif self.database.is_sqlite:
                for chunk in _chunks(self.path(sha256)):
                    file.write(chunk)
            else:
                for chunk in self._read_chunks(session, sha256):
                    file.write(chunk)

    def release(self, session: Session, sha256: str) -> None:
        """Delete a blob's row if nothing names it; its file goes with `sweep`."""
        naming = (
            sa.select(Dataset.id).where(Dataset.content == sha256),
            sa.select(Model.id).where(Model.parameters == sha256),
            sa.select(Snapshot.job_id).where(Snapshot.content == sha256),
            sa.select(Job.id).where(Job.initial_parameters == sha256),
        )
        if session.scalar(sa.select(sa.or_(*(sa.exists(each) for each in naming)))):
            return
        session.execute(sa.delete(Blob).where(Blob.sha256 == sha256))
        if not self.database.is_sqlite:
            session.execute(sa.delete(BlobChunk).where(BlobChunk.sha256 == sha256))

    def sweep(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Delete files that no row names and that nothing has staged lately; return how many."""
        old = time.time() - grace_seconds
        deleted = 0
        for path in self.directory.glob("*/*"):
            if path.stat().st_mtime > old:
                continue
            with self.database.reading() as session:
                known = session.get(Blob, path.name) is not None
            if not known:
                path.unlink(missing_ok=True)
                deleted += 1
        return deleted

    def _write_file(self, sha256: str, content: bytes | Path) -> None:
        path = self.path(sha256)
        if path.exists():
            os.utime(path)  # staged again: `sweep` must not take it
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{sha256}.{secrets.token_hex(4)}")
        with partial.open("wb") as file:
            for chunk in _chunks(content):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        for directory in (path.parent, self.directory):
            _sync(directory)

    def _write_chunks(self, sha256: str, content: bytes | Path) -> None:
        with self.database.writing() as session:
            for number, chunk in enumerate(_chunks(content)):
                row = {"sha256": sha256, "number": number, "data": chunk}
                session.execute(postgresql.insert(BlobChunk).values(row).on_conflict_do_nothing())

    def _read_chunks(self, session: Session, sha256: str) -> Iterator[bytes]:
        number = 0
        while (chunk := session.get(BlobChunk, (sha256, number))) is not None:
            yield chunk.data
            session.expunge(chunk)
            number += 1


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
