"""Blobs: whether each has the bytes of its name, and whether files are left that no blob names."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.checks.finding import FROM_A_BACKUP, Finding
from app.errors import Unavailable
from app.storage.blobs import Blobs
from app.storage.sweep import GRACE_SECONDS
from app.storage.tables import Blob, Dataset, Job, Model, Snapshot

ALL = sa.select(Blob.sha256, Blob.size).order_by(Blob.sha256)


class Contents:
    """Goes once through all blobs; ``damaged`` are those that are not what their name says."""

    def __init__(self, session: Session, blobs: Blobs) -> None:
        self._session = session
        self._blobs = blobs
        self._names: set[str] = set()
        self.damaged: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        for sha256, size in self._session.execute(ALL).all():
            self._names.add(sha256)
            wrong = self._wrong(sha256, size)
            if wrong is not None:
                self.damaged.add(sha256)
                named = ", ".join(self._named_by(sha256)) or "nothing"
                yield Finding(f"Blob {sha256} {wrong}; it is named by {named}.", FROM_A_BACKUP)
        yield from self._left()

    def _wrong(self, sha256: str, size: int) -> str | None:
        digest, found = hashlib.sha256(), 0
        try:
            for part in self._blobs.parts(self._session, sha256):
                digest.update(part)
                found += len(part)
        except FileNotFoundError:
            return f"has lost its file {self._blobs.path(sha256)}"
        except Unavailable:
            return f"has only {found} of its {size} bytes"
        if (found, digest.hexdigest()) != (size, sha256):
            return f"of {size} bytes has {found} others"
        return None

    def _named_by(self, sha256: str) -> Iterator[str]:
        for column in (Dataset.id, Model.id, Job.id):
            naming = {Dataset.id: Dataset.content, Model.id: Model.parameters, Job.id: Job.initial_parameters}
            yield from self._session.scalars(sa.select(column).where(naming[column] == sha256))
        places = sa.select(Snapshot.job_id, Snapshot.number).where(Snapshot.content == sha256)
        for job, number in self._session.execute(places):
            yield f"snapshot {number} of {job}"

    def _left(self) -> Iterator[Finding]:
        if not self._blobs.database.is_sqlite:
            return
        for path in sorted(self._blobs.directory.glob("*/*")):
            if path.name not in self._names and _is_old(path):
                way_out = "It takes room, nothing else: a running server deletes it, or `check --repair`."
                yield Finding(f"No blob names {path}.", way_out)


def _is_old(path: Path) -> bool:
    """Younger ones may be about to be named."""
    try:
        return path.stat().st_mtime < time.time() - 2 * GRACE_SECONDS
    except FileNotFoundError:
        return False
