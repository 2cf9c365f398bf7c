"""Content-addressed bytes: small ones in their row, large ones as files beside SQLite or chunks in Postgres.

A large blob is staged before the transaction that names it, so that the transaction stays short: a
100 MB value holds SQLite's only write lock for half a second. What was staged may be gone when it is named:
the deletion of another object with the same bytes, or a sweep, took it. `Blobs.attach` then writes it again.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.scope import across
from app.storage.tables import Blob, BlobChunk, Dataset, Job, Model, Snapshot
from app.storage.view import deleting

IN_ROW = 256 * 1024
CHUNK = 4 * 2**20
CHUNKS_AT_ONCE = 64
AT_ONCE = 256
"""Blobs that one transaction releases, at most: each takes a lock, and others wait for it."""

DELETED = "The content was deleted while it was being read; please try again."

# Built once: these run in every transaction of a trainer.
_blobs, _chunks_of = core(Blob), core(BlobChunk)
INSERT_ON_SQLITE = sqlite.insert(_blobs).on_conflict_do_nothing()
INSERT_ON_POSTGRES = postgresql.insert(_blobs).on_conflict_do_nothing()
READ = sa.select(_blobs.c.size, _blobs.c.data).where(_blobs.c.sha256 == sa.bindparam("sha256"))
READ_CHUNK = sa.select(_chunks_of.c.data).where(
    _chunks_of.c.sha256 == sa.bindparam("sha256"), _chunks_of.c.number == sa.bindparam("number")
)
LOCK = sa.select(
    sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("sha256", type_=sa.String()), 0))
)
_NAMING = (Dataset.content, Model.parameters, Snapshot.content, Job.initial_parameters)
IS_UNNAMED = sa.not_(sa.or_(*(sa.exists().where(name == _blobs.c.sha256) for name in _NAMING)))
RELEASE = (
    sa.delete(_blobs)
    .where(_blobs.c.sha256.in_(sa.bindparam("these", expanding=True)), IS_UNNAMED)
    .returning(_blobs.c.sha256, _blobs.c.size)
)


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
        self.file_bytes: int | None = None
        """Bytes of all files, as a `Sweep` has found them; None before one has looked, and on Postgres."""

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

    def attach(self, session: Session, *staged: Staged) -> None:
        """Name staged bytes inside a writing transaction; the same bytes twice are one blob.

        Raises Unavailable when they are gone, and the file that they came from is gone too.
        """
        self.lock(session, [each.sha256 for each in staged])
        rows = []
        for each in staged:
            data = each.content if isinstance(each.content, bytes) and each.size <= IN_ROW else None
            if data is None:
                self._keep(session, each)
            rows.append({"sha256": each.sha256, "size": each.size, "data": data})
        session.execute(INSERT_ON_SQLITE if self.database.is_sqlite else INSERT_ON_POSTGRES, rows)

    def fill(self, session: Session, sha256: str, chunks: Iterable[bytes]) -> None:
        """Write large bytes, in parts of `CHUNK`, whose row is there: as when a database is restored."""
        if self.database.is_sqlite:
            self._write_file(sha256, chunks)
        else:
            _write_chunks(session, sha256, chunks)

    def parts(self, session: Session, sha256: str) -> Iterator[bytes]:
        """A blob, a few megabytes at a time. Raises Unavailable when it is deleted meanwhile."""
        blob = session.execute(READ, {"sha256": sha256}).one_or_none()
        if blob is None:
            raise Unavailable(DELETED)
        if blob.data is not None:
            yield blob.data
            return
        left = blob.size
        for chunk in _chunks(self.path(sha256)) if self.database.is_sqlite else _stored(session, sha256):
            yield chunk
            left -= len(chunk)
        if left:  # Postgres shows each statement what is there by then
            raise Unavailable(DELETED)

    def read(self, session: Session, sha256: str) -> bytes:
        """All of a blob. Raises Unavailable when it is deleted meanwhile."""
        return b"".join(self.parts(session, sha256))

    def copy(self, session: Session, sha256: str, destination: Path) -> None:
        """Write a blob to a file, with bounded memory. Raises Unavailable when it is deleted meanwhile."""
        with destination.open("wb") as file:
            for chunk in self.parts(session, sha256):
                file.write(chunk)

    def release(self, session: Session, *sha256: str) -> list[str]:
        """Delete the rows of blobs that nothing names; return which those were. Files go with a `Sweep`.

        Of very many only the first: a `Sweep` takes the others, in transactions that are short.
        """
        some = sha256[:AT_ONCE]
        self.lock(session, some)
        with across(session):  # another project may have the same bytes
            gone = session.execute(RELEASE, {"these": some}).all() if some else []
        if not self.database.is_sqlite:
            for row in gone:
                if row.size > IN_ROW:
                    delete_chunks(session, row.sha256)
        return [row.sha256 for row in gone]

    def discard(self, session: Session, staged: Staged) -> None:
        """Delete what was staged and will not be named by us, unless another names it. Who is about to name
        the same bytes writes them again.
        """
        self.lock(session, [staged.sha256])
        if staged.size <= IN_ROW or session.get(Blob, staged.sha256) is not None:
            return
        if self.database.is_sqlite:
            self.delete_files(staged.sha256)
        else:
            delete_chunks(session, staged.sha256)

    def delete_files(self, *sha256: str) -> None:
        """Delete what no row names, ahead of the `Sweep`; to which it is left while somebody has a view."""
        paths = [path for path in map(self.path, sha256) if path.exists()]
        if not paths:
            return
        with deleting(self.directory) as free:
            for path in paths if free else ():
                path.unlink(missing_ok=True)

    def lock(self, session: Session, these: Sequence[str]) -> None:
        """Let one transaction at a time name or delete these bytes (on SQLite only one writes anyway)."""
        if not self.database.is_sqlite:
            for sha256 in sorted(these):  # in one order, lest two wait for each other
                session.execute(LOCK, {"sha256": sha256})

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
            os.utime(self.path(staged.sha256))  # staged again: a `Sweep` must not take it
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


def _stored(session: Session, sha256: str) -> Iterator[bytes]:
    number = 0
    while (data := session.scalar(READ_CHUNK, {"sha256": sha256, "number": number})) is not None:
        yield data
        number += 1


def _write_chunks(session: Session, sha256: str, chunks: Iterable[bytes]) -> None:
    for number, chunk in enumerate(chunks):
        row = {"sha256": sha256, "number": number, "data": chunk}
        session.execute(postgresql.insert(BlobChunk).values(row).on_conflict_do_nothing())


def delete_chunks(session: Session, sha256: str) -> None:
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
