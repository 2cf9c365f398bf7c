"""A received file becomes a dataset: read in a jailed child, kept as Parquet, and described in a row."""

import secrets
import tempfile
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from app.audit.acting import Act, acting, current
from app.datasets.content import cached_table, keep_table
from app.datasets.jail import Jail, Parsed, ParseRequest
from app.datasets.schemas import Envelope
from app.datasets.service import answer
from app.errors import ChainruleError, Gone, QuotaReached, Unavailable
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs, Staged
from app.storage.columns import clock, new_id, now
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.scope import across
from app.storage.tables import Dataset
from app.validation import invalid

LEASE_SECONDS = 30.0
INTERRUPTED = {
    "code": Unavailable.code,
    "detail": "The server was stopped while it read the file. Send it again.",
    "errors": [],
}

NOBODY = Answered(0, "", "")
"""The answer to somebody who has had another."""

_envelope = TypeAdapter(Envelope)


@dataclass(slots=True)
class Reading:
    """A file to be read. ``said``: fields of an `Envelope`, before those inside of the file."""

    principal: Principal
    file: Path
    said: dict[str, Any]
    request: ParseRequest
    once: Once
    lock: threading.Lock = field(default_factory=threading.Lock)
    dataset_id: str | None = None
    is_stored: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether somebody has been told of a dataset whose file is still being read."""
        return self.dataset_id is not None


class Uploads:
    """Turns received files into datasets."""

    def __init__(self, blobs: Blobs, jail: Jail, disk: Disk, data_dir: Path, default: Quotas) -> None:
        self._disk = disk
        self._default = default
        self._blobs = blobs
        self._database = blobs.database
        self._jail = jail
        self._incoming = data_dir / "incoming"
        self._cache = data_dir / "cache"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def place(self) -> Path:
        """Where to write the next upload, which somebody is to delete."""
        return self._incoming / secrets.token_hex(16)

    def store(self, reading: Reading) -> Answered:
        """Parse the file and store it, as a new dataset or as the one that is begun.

        Raises InvalidDataset, TooLarge, Invalid for what was said, or Forbidden where it is to be shared.

        Raises QuotaReached, DiskFull, and OSError, for want of room; nothing of it is left then.
        """
        principal = reading.principal
        checked(reading.said)
        with tempfile.TemporaryDirectory(dir=self._incoming) as scratch:
            parsed = self._jail.parse(reading.file, Path(scratch), reading.request)
            size = parsed.parquet.stat().st_size
            self._disk.require(size)
            envelope = checked(reading.said | parsed.envelope)
            if envelope.shared:
                principal.need("admin")
            if reading.once.key is None:  # else there may be an answer already, which the transaction finds
                self.foresee(principal, size, more=not reading.is_begun)
            content = self._blobs.stage(parsed.parquet)
            keep_table(parsed.table, self._cache, parsed.sha256)
            try:
                with reading.lock:
                    answered = self._store(reading, parsed, envelope, content)
                    reading.is_stored = True
                    return answered
            except (QuotaReached, Gone):  # another has taken the last place, or it was deleted meanwhile
                self._discard(parsed.sha256, content)
                raise

    def begin(self, reading: Reading) -> Answered | None:
        """Make a dataset whose file is still being read; None where it has been read after all."""
        with reading.lock:
            if reading.is_stored:
                return None
            envelope = checked(reading.said)
            if envelope.shared:
                reading.principal.need("admin")
            nothing = self._blobs.stage(b"")
            dataset = self._row(reading, envelope, nothing)
            with reading.once.writing() as session:
                self._blobs.attach(session, nothing)
                self._admit(session, reading.principal, 0)
                dataset.lease_until = session.scalar(sa.select(clock() + LEASE_SECONDS))
                session.add(dataset)
                place = f"/v1/datasets/{dataset.id}"
                answered = reading.once.answer(session, place, answer(reading.principal, dataset))
            reading.dataset_id = dataset.id
            return answered

    def renew(self, reading: Reading) -> None:
        """Say that the file is still being read."""
        mine = Dataset.id == reading.dataset_id, Dataset.status == "processing"
        with acting(None), self._database.writing() as session:
            session.execute(sa.update(Dataset).where(*mine).values(lease_until=clock() + LEASE_SECONDS))

    def fail(self, reading: Reading, error: ChainruleError) -> None:
        """Say why the file of a dataset that was begun is none."""
        with self._database.writing() as session:
            dataset = session.get(Dataset, reading.dataset_id)
            if dataset is not None and dataset.status == "processing":
                told = [asdict(fault) for fault in error.faults]
                dataset.status, dataset.lease_until = "failed", None
                dataset.error = {"code": error.code, "detail": error.detail, "errors": told}

    def foresee(self, principal: Principal, size: int = 1, *, more: bool = True) -> None:
        """Raise QuotaReached where a dataset of that many bytes would be refused as things stand."""
        with self._database.reading() as session:
            held = quotas.of(session, principal.project_id, self._default)
            if more:
                quotas.admit_dataset(session, principal.project_id, held, size)
            else:
                quotas.admit_bytes(session, principal.project_id, held, size)

    def _admit(self, session: Any, principal: Principal, size: int, *, more: bool = True) -> None:
        held = quotas.of(session, principal.project_id, self._default, lock=True)
        if more:
            quotas.admit_dataset(session, principal.project_id, held, size)
        else:
            quotas.admit_bytes(session, principal.project_id, held, size)

    def _discard(self, sha256: str, content: Staged) -> None:
        """Delete what was stored ahead of a dataset that there will not be, unless another has the same."""
        with self._database.writing() as session:
            self._blobs.discard(session, content)
            with across(session):
                named = session.scalar(sa.select(Dataset.id).where(Dataset.sha256 == sha256).limit(1))
            if named is None:
                cached_table(self._cache, sha256).unlink(missing_ok=True)

    def _row(self, reading: Reading, envelope: Envelope, content: Staged) -> Dataset:
        return Dataset(
            id=new_id("ds"),
            project_id=reading.principal.project_id,
            created_by=reading.principal.key_id,
            created_at=now(),
            name=envelope.name,
            labels=envelope.metadata,
            status="processing",
            sha256="",
            size_bytes=0,
            row_count=0,
            columns=[],
            warnings=[],
            content=content.sha256,
            shared=envelope.shared,
        )

    def _store(self, reading: Reading, parsed: Parsed, envelope: Envelope, content: Staged) -> Answered:
        if reading.is_begun:
            return self._finish(reading, parsed, envelope, content)
        principal, once = reading.principal, reading.once
        dataset = self._row(reading, envelope, content)
        describe(dataset, parsed, content)
        with once.writing() as session:
            self._blobs.attach(session, content)
            self._admit(session, principal, content.size)
            session.add(dataset)
            return once.answer(session, f"/v1/datasets/{dataset.id}", answer(principal, dataset))

    def _finish(self, reading: Reading, parsed: Parsed, envelope: Envelope, content: Staged) -> Answered:
        with acting(finishing(current())), self._database.writing() as session:
            self._blobs.attach(session, content)
            self._admit(session, reading.principal, content.size, more=False)
            dataset = session.get(Dataset, reading.dataset_id, with_for_update=True)
            if dataset is None or dataset.status != "processing":
                raise Gone("The dataset was deleted while its file was read.")
            nothing = dataset.content
            describe(dataset, parsed, content)
            if dataset.name is None:  # else it was said, or changed since
                dataset.name = envelope.name
            dataset.labels = dataset.labels or envelope.metadata
            session.flush()
            self._blobs.release(session, nothing)
        return NOBODY


def finishing(act: Act | None) -> Act | None:
    """What a request does when it is over, and its dataset is not."""
    return None if act is None else replace(act, verb="finish", collection="datasets")


def describe(dataset: Dataset, parsed: Parsed, content: Staged) -> None:
    """Let the dataset have what was found in its file."""
    dataset.status, dataset.lease_until = "ready", None
    dataset.sha256 = parsed.sha256
    dataset.size_bytes = content.size
    dataset.row_count = parsed.row_count
    dataset.columns = parsed.columns
    dataset.warnings = parsed.warnings
    dataset.content = content.sha256


def sweep(database: Database) -> int:
    """Say of datasets whose reader is gone that they have failed; return of how many."""
    left = Dataset.status == "processing", Dataset.lease_until < clock()
    with database.reading() as session:
        if session.scalar(sa.select(Dataset.id).where(*left).limit(1)) is None:
            return 0
    change = sa.update(Dataset).where(*left).values(status="failed", error=INTERRUPTED, lease_until=None)
    with database.writing() as session:
        return len(session.execute(change.returning(Dataset.id)).all())


def checked(envelope: dict[str, Any]) -> Envelope:
    """What is said of a dataset. Raises Invalid."""
    try:
        return _envelope.validate_python(envelope)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), envelope, ("body",)) from None
