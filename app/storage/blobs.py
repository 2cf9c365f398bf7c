"""Content-addressed bytes: small ones in their row, large ones as files beside SQLite or chunks in Postgres.

A large blob is staged before the transaction that names it, so that the transaction stays short: a
100 MB value holds SQLite's only write lock for half a second. What was staged may be gone when it is named:
the deletion of another object with the same bytes, or a sweep, took it. `Blobs.attach` then writes it again.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.storage.database import Database
from app.storage.tables import Blob, BlobChunk, Dataset, Job, Model, Snapshot

IN_ROW = 256 * 1024
CHUNK = 4 * 2**20
CHUNKS_AT_ONCE = 64
GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes that are kept but that no transaction has named yet; ``content`` is what they came from."""

    sha256: str
    size: int
    content: bytes | Path = field(repr=False)


class Blobs:
    """The blobs of one database; ``directory`` holds the files when it is SQLite.

    ``patience``: for how many seconds `stage` tries again while the database is away.
    """

    def __init__(self, database: Database, directory: Path, patience: float = 0.0) -> None:
        self.database = database
        self.patience = patience
        self.directory = directory
        self._unnamed: set[str] = set()

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
        staged = Staged(digest.hexdigest(), size, content)
        if self.database.is_sqlite:
            self._keep_file(staged)
        else:
            self.database.patiently(
                lambda session: _write_chunks(session, staged.sha256, _chunks(content)), self.patience
            )
        return staged

    def attach(self, session: Session, staged: Staged) -> None:
        """Name the staged bytes inside a writing transaction; the same bytes twice are one blob.

        Raises Unavailable when they are gone, and the file that they came from is gone too.
        """
        self._lock(session, staged.sha256)
        data = staged.content if isinstance(staged.content, bytes) and staged.size <= IN_ROW else None
        if data is None:
            self._keep(session, staged)
        insert = sqlite.insert if self.database.is_sqlite else postgresql.insert
        row = {"sha256": staged.sha256, "size": staged.size, "data": data}
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
        self._lock(session, sha256)
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
            _delete_chunks(session, sha256)

    def sweep(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Delete large blobs that no row names and that nothing has staged lately; return how many.

        A file must be ``grace_seconds`` old. Chunks (Postgres) have no age: they go when the sweep before
        this one saw them without a name too.
        """
        if self.database.is_sqlite:
            return self._sweep_files(time.time() - grace_seconds)
        return self._sweep_chunks()

    def _sweep_files(self, old: float) -> int:
        deleted = 0
        for path in self.directory.glob("*/*"):
            with self.database.reading() as session:
                if not _is_unnamed_file(session, path, old):
                    continue
            # Looked at again under the writer lock: it may have been staged, and named, since.
            with self.database.writing() as session:
                if _is_unnamed_file(session, path, old):
                    path.unlink(missing_ok=True)
                    deleted += 1
        return deleted

    def _sweep_chunks(self) -> int:
        named = sa.exists().where(Blob.sha256 == BlobChunk.sha256)
        with self.database.reading() as session:
            unnamed = set(session.scalars(sa.select(BlobChunk.sha256).where(~named).distinct()))
        twice, self._unnamed = unnamed & self._unnamed, unnamed
        deleted = 0
        for sha256 in twice:
            with self.database.writing() as session:
                self._lock(session, sha256)
                if session.get(Blob, sha256) is None:
                    _delete_chunks(session, sha256)
                    deleted += 1
        return deleted

    def _lock(self, session: Session, sha256: str) -> None:
        """Let one transaction at a time name or delete these bytes (on SQLite only one writes anyway)."""
        if not self.database.is_sqlite:
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sha256, 0))))

    def _keep(self, session: Session, staged: Staged) -> None:
        """Write large bytes again unless all of them are still there."""
        if self.database.is_sqlite:
            if not self.path(staged.sha256).exists():
                self._write_file(staged.sha256, _again(staged))
            return
        present = sa.select(sa.func.count()).where(BlobChunk.sha256 == staged.sha256)
        if session.scalar(present) != -(-staged.size // CHUNK):
            _write_chunks(session, staged.sha256, _again(staged))

    def _keep_file(self, staged: Staged) -> None:
        try:
            os.utime(self.path(staged.sha256))  # staged again: `sweep` must not take it
        except FileNotFoundError:
            self._write_file(staged.sha256, _chunks(staged.content))

    def _write_file(self, sha256: str, chunks: Iterable[bytes]) -> None:
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{sha256}.{secrets.token_hex(4)}")
        try:
            with partial.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
        for directory in (path.parent, self.directory):
            _sync(directory)

    def _read_chunks(self, session: Session, sha256: str) -> Iterator[bytes]:
        number = 0
        while (chunk := session.get(BlobChunk, (sha256, number))) is not None:
            yield chunk.data
            session.expunge(chunk)
            number += 1


def _is_unnamed_file(session: Session, path: Path, old: float) -> bool:
    try:
        return path.stat().st_mtime <= old and session.get(Blob, path.name) is None
    except FileNotFoundError:
        return False


def _write_chunks(session: Session, sha256: str, chunks: Iterable[bytes]) -> None:
    for number, chunk in enumerate(chunks):
        row = {"sha256": sha256, "number": number, "data": chunk}
        session.execute(postgresql.insert(BlobChunk).values(row).on_conflict_do_nothing())


def _delete_chunks(session: Session, sha256: str) -> None:
    """In parts, each of which ends within the time that one statement has."""
    last = session.scalar(sa.select(sa.func.max(BlobChunk.number)).where(BlobChunk.sha256 == sha256))
    for start in range(0, 0 if last is None else last + 1, CHUNKS_AT_ONCE):
        part = BlobChunk.number.between(start, start + CHUNKS_AT_ONCE - 1)
        session.execute(sa.delete(BlobChunk).where(BlobChunk.sha256 == sha256, part))


def _again(staged: Staged) -> Iterator[bytes]:
    """The staged bytes once more. Raises Unavailable where their file is not what it was."""
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(staged.content):
            digest.update(chunk)
            yield chunk
    except FileNotFoundError:
        raise Unavailable("The content was deleted while it was being stored; please try again.") from None
    if digest.hexdigest() != staged.sha256:
        raise Unavailable("The content changed while it was being stored; please try again.")


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
