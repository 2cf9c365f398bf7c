"""Files that come in parts: each part is on the disk before it is confirmed."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.datasets import corrections
from app.datasets.charsets import KNOWN
from app.errors import Conflict, Fault, Invalid, TooManyUploads
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage import lookup
from app.storage.columns import clock, new_id, now
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.tables import Upload
from app.uploads.schemas import UploadCreate

KEPT_SECONDS = 24 * 3600.0
GRACE_SECONDS = 3600.0
BLOCK = 1 << 20


class Part(NamedTuple):
    """Where the next bytes of a file go."""

    upload_id: str
    path: Path
    offset: int
    size: int


class Files:
    """Of this host. Another host of the server has files of its own, and does not see these."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "uploads"
        self._directory.mkdir(parents=True, exist_ok=True)
        named = self._directory / "host"
        if not named.exists():
            mine = named.with_suffix(f".{secrets.token_hex(4)}")
            mine.write_text(secrets.token_hex(8))
            with contextlib.suppress(FileExistsError):  # of two processes the first one names it
                os.link(mine, named)
            mine.unlink()
        self.host = named.read_text()

    def path(self, upload_id: str) -> Path:
        return self._directory / f"{upload_id}.part"

    def delete(self, *upload_ids: str) -> None:
        for each in upload_ids:
            self.path(each).unlink(missing_ok=True)

    def old(self) -> list[str]:
        """Ids of the uploads whose files have been here for a while: a younger one may get its row yet."""
        until = time.time() - GRACE_SECONDS
        found = []
        for path in self._directory.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < until:
                    found.append(path.stem)
        return found


def create(
    database: Database,
    files: Files,
    disk: Disk,
    default: Quotas,
    most: int,
    largest: int,
    principal: Principal,
    asked: UploadCreate,
    once: Once,
) -> Answered:
    """Begin one. Raises Invalid, Forbidden, QuotaReached, DiskFull, or TooManyUploads beyond ``most``;
    InvalidDataset for corrections that fit no file."""
    corrections.read(asked.columns, list(asked.columns))
    if asked.size_bytes > largest:
        message = f"An upload may have {largest} bytes."
        raise Invalid(message, Fault("size_bytes", "out_of_range", message, "Compress it with gzip."))
    if asked.charset is not None and asked.charset.lower() not in KNOWN:
        message = f"Expected one of {', '.join(KNOWN)}."
        raise Invalid(message, Fault("charset", "not_allowed", message))
    if asked.shared:
        principal.need("admin")
    disk.require(asked.size_bytes)
    upload = Upload(
        id=new_id("upl"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        shared=asked.shared,
        columns=asked.columns,
        charset=asked.charset,
        size_bytes=asked.size_bytes,
        received=0,
        sha256=asked.sha256,
        host=files.host,
    )
    with once.writing() as session:
        held = quotas.of(session, principal.project_id, default, lock=True)
        mine = Upload.project_id == principal.project_id
        count, pending = session.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Upload.size_bytes), 0)).where(mine)
        ).one()
        if count >= most:
            raise TooManyUploads(f"{most} uploads of this project are under way, the most of one project.")
        quotas.admit_dataset(session, principal.project_id, held, asked.size_bytes + int(pending))
        upload.kept_until = _in_time(session)
        session.add(upload)
        session.flush()
        files.path(upload.id).touch()
        return once.answer(session, f"/v1/uploads/{upload.id}", answer(upload))


def get(session: Session, principal: Principal, upload_id: str, *, lock: bool = False) -> Upload:
    return lookup.get(session, Upload, principal.project_id, upload_id, "upload_id", lock=lock)


@contextmanager
def appending(files: Files, upload_id: str) -> Iterator[int]:
    """The file, open for one request at a time. Raises Conflict while another appends."""
    try:
        file = os.open(files.path(upload_id), os.O_RDWR)
    except FileNotFoundError:
        raise Conflict("Its file is not here: begin a new upload.", allowed=("delete",)) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("Another request is adding to this upload.", allowed=("read",)) from None
        yield file
    finally:
        os.close(file)


def next_part(database: Database, files: Files, principal: Principal, upload_id: str, offset: int) -> Part:
    """Where a part from ``offset`` goes. Raises NotFound, or Conflict where another offset is next."""
    with database.reading() as session:
        upload = get(session, principal, upload_id)
    check_host(files, upload)
    if offset != upload.received:
        raise Conflict(
            f"The next part begins at byte {upload.received}: ask for the upload, and go on from its offset.",
            allowed=("append", "read", "delete"),
        )
    return Part(upload.id, files.path(upload.id), upload.received, upload.size_bytes)


def confirm(database: Database, principal: Principal, part: Part, count: int) -> dict[str, Any]:
    """Note that so many bytes of a part are on the disk. Raises NotFound where it was deleted meanwhile."""
    with database.writing() as session:
        upload = get(session, principal, part.upload_id, lock=True)
        upload.received = part.offset + count
        upload.kept_until = _in_time(session)
        return answer(upload)


def whole(database: Database, files: Files, principal: Principal, upload_id: str) -> Upload:
    """One whose bytes are all here. Raises NotFound, or Conflict where some are still to come."""
    with database.reading() as session:
        upload = get(session, principal, upload_id)
    check_host(files, upload)
    if upload.received != upload.size_bytes:
        raise Conflict(
            f"{upload.received} of {upload.size_bytes} bytes are here.", allowed=("append", "read", "delete")
        )
    return upload


def check_sha256(path: Path, upload: Upload) -> None:
    """Raise Invalid where the file is not what it was to be."""
    if upload.sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != upload.sha256:
        message = "The file has another SHA-256 than was said: something was changed on the way."
        raise Invalid(
            message, Fault("sha256", "wrong_digest", message, "Delete the upload, and send it anew.")
        )


def check_host(files: Files, upload: Upload) -> None:
    if upload.host != files.host:
        raise Conflict(
            "Another host of this server has the file: send its parts there.", allowed=("read", "delete")
        )


def delete(database: Database, files: Files, principal: Principal, upload_id: str) -> None:
    """Delete what has come of it; no dataset. Raises NotFound."""
    with database.writing() as session:
        session.delete(get(session, principal, upload_id, lock=True))
    files.delete(upload_id)


def sweep(database: Database, files: Files) -> int:
    """Delete what nobody has added to for `KEPT_SECONDS`, and files of this host without a row."""
    with database.writing() as session:
        old = sa.delete(Upload).where(Upload.kept_until < clock()).returning(Upload.id)
        deleted = session.scalars(old).all()
    left = files.old()
    with database.reading() as session:
        known = set(session.scalars(sa.select(Upload.id)))
    files.delete(*(each for each in left if each not in known))
    return len(deleted)


def answer(upload: Upload) -> dict[str, Any]:
    """The upload as clients see it."""
    return {
        "id": upload.id,
        "created_at": upload.created_at,
        "created_by": upload.created_by,
        "name": upload.name,
        "metadata": upload.labels,
        "shared": upload.shared,
        "columns": upload.columns,
        "size_bytes": upload.size_bytes,
        "offset": upload.received,
        "expires_at": datetime.fromtimestamp(upload.kept_until, UTC),
    }


def _in_time(session: Session) -> float:
    return float(session.scalar(sa.select(clock() + KEPT_SECONDS)) or 0.0)
