"""Datasets: an upload is parsed in a jailed child, kept as Parquet, and described in a row."""

import hashlib
import secrets
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from app import strict_json
from app.datasets.content import cached_table, keep_table
from app.datasets.jail import Jail, Parsed, ParseRequest
from app.datasets.schemas import Envelope
from app.errors import Conflict, Fault, Invalid, InvalidDataset, MalformedRequest, QuotaReached, ReadOnly
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage import lookup
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now
from app.storage.disk import Disk
from app.storage.scope import across
from app.storage.tables import Dataset, Job
from app.validation import invalid

FINISHED = ("succeeded", "failed", "cancelled")

_envelope = TypeAdapter(Envelope)


class Uploads:
    """Turns received files into datasets."""

    def __init__(self, blobs: Blobs, jail: Jail, disk: Disk, data_dir: Path, default: Quotas) -> None:
        self._disk = disk
        self._default = default
        self._blobs = blobs
        self._jail = jail
        self._incoming = data_dir / "incoming"
        self._cache = data_dir / "cache"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def place(self) -> Path:
        """Where to write the next upload; `create` deletes it."""
        return self._incoming / secrets.token_hex(16)

    def create(
        self,
        principal: Principal,
        upload: Path,
        said: dict[str, Any],
        columns: dict[str, Any],
        once: Once,
    ) -> Answered:
        """Parse the file and store it. ``said``: fields of an `Envelope`, before those inside of the file.

        Raises InvalidDataset, TooLarge, Invalid for what was said, or Forbidden where it is to be shared.

        Raises QuotaReached, DiskFull, and OSError, for want of room; nothing of it is left then.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self._incoming) as scratch:
                parsed = self._jail.parse(upload, Path(scratch), ParseRequest(columns))
                size = parsed.parquet.stat().st_size
                self._disk.require(size)
                envelope = _checked(said | parsed.envelope)
                if envelope.shared:
                    principal.need("admin")
                if once.key is None:  # else there may be an answer already, which the transaction finds
                    self.foresee(principal, size)
                content = self._blobs.stage(parsed.parquet)
                keep_table(parsed.table, self._cache, parsed.sha256)
                try:
                    return self._store(principal, parsed, envelope, content, once)
                except QuotaReached:  # another has taken the last place meanwhile
                    self._discard(parsed.sha256, content)
                    raise
        finally:
            upload.unlink(missing_ok=True)

    def foresee(self, principal: Principal, size: int = 1) -> None:
        """Raise QuotaReached where one more dataset of that many bytes would be refused as things stand."""
        with self._blobs.database.reading() as session:
            held = quotas.of(session, principal.project_id, self._default)
            quotas.admit_dataset(session, principal.project_id, held, size)

    def _discard(self, sha256: str, content: Staged) -> None:
        """Delete what was stored ahead of a dataset that there will not be, unless another has the same."""
        with self._blobs.database.writing() as session:
            self._blobs.discard(session, content)
            with across(session):
                named = session.scalar(sa.select(Dataset.id).where(Dataset.sha256 == sha256).limit(1))
            if named is None:
                cached_table(self._cache, sha256).unlink(missing_ok=True)

    def _store(
        self, principal: Principal, parsed: Parsed, envelope: Envelope, content: Staged, once: Once
    ) -> Answered:
        dataset = Dataset(
            id=new_id("ds"),
            project_id=principal.project_id,
            created_by=principal.key_id,
            created_at=now(),
            name=envelope.name,
            labels=envelope.metadata,
            status="ready",
            sha256=parsed.sha256,
            size_bytes=content.size,
            row_count=parsed.row_count,
            columns=parsed.columns,
            warnings=parsed.warnings,
            content=content.sha256,
            shared=envelope.shared,
        )
        with once.writing() as session:
            self._blobs.attach(session, content)
            held = quotas.of(session, principal.project_id, self._default, lock=True)
            quotas.admit_dataset(session, principal.project_id, held, content.size)
            session.add(dataset)
            return once.answer(session, f"/v1/datasets/{dataset.id}", answer(principal, dataset))


def as_sent(upload: Path, said: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """What tells one upload from another, without reading it as a table: its bytes and all beside them."""
    with upload.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": sha256, **said, "columns": columns}


def _checked(envelope: dict[str, Any]) -> Envelope:
    try:
        return _envelope.validate_python(envelope)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), envelope, ("body",)) from None


EXAMPLES = {"columns": '{"zip": {"type": "category"}}', "metadata": '{"source": "Palmer station"}'}


def object_in_text(text: str | None, param: str) -> dict[str, Any]:
    """A part of a multipart form that is a JSON object in text. Raises InvalidDataset."""
    if text is None:
        return {}
    hint = f"For example {EXAMPLES[param]}."
    try:
        value = strict_json.loads(text.encode())
    except MalformedRequest as error:
        message = error.detail.replace("The body", "The text")
        raise InvalidDataset(f"{param}: {message}", Fault(param, "malformed_json", message, hint)) from None
    except Invalid as error:
        (found,) = error.faults
        place = f"{param}.{found.param}" if found.param else param
        fault = Fault(place, found.code, found.message, found.hint)
        raise InvalidDataset(f"{place}: {found.message}", fault) from None
    if not isinstance(value, dict):
        message = "Expected a JSON object."
        raise InvalidDataset(f"{param}: {message}", Fault(param, "wrong_type", message, hint))
    return value


def get(
    session: Session,
    principal: Principal,
    dataset_id: str,
    *,
    param: str = "dataset_id",
    keep: bool = False,
) -> Dataset:
    """The project's own dataset, or one that is shared, to read it and to train on it.

    With ``keep`` it can be neither deleted nor shared no more before this transaction ends.
    """
    return lookup.get(session, Dataset, principal.project_id, dataset_id, param, lock=keep, shared=True)


def own(session: Session, principal: Principal, dataset_id: str) -> Dataset:
    """The project's own dataset, to change it. Raises NotFound, or ReadOnly where another shares it."""
    dataset = get(session, principal, dataset_id, keep=True)
    if dataset.project_id != principal.project_id:
        raise ReadOnly
    return dataset


def share(session: Session, principal: Principal, dataset: Dataset, shared: bool) -> None:
    """Let every project read the project's own dataset and train on it, or none but this one.

    Raises Forbidden, or Conflict while an unfinished job of another project uses it.
    """
    principal.need("admin")
    others = Job.project_id != dataset.project_id
    if not shared and (count := _unfinished(session, dataset, others)):
        raise Conflict(_in_use(count, " of other projects"), allowed=("read",))
    dataset.shared = shared


def delete(session: Session, blobs: Blobs, principal: Principal, dataset_id: str) -> None:
    """Delete a dataset that no unfinished job uses, of any project; finished jobs keep its SHA-256."""
    dataset = own(session, principal, dataset_id)
    if count := _unfinished(session, dataset):
        raise Conflict(_in_use(count), allowed=("read",))
    content = dataset.content
    session.delete(dataset)
    session.flush()
    blobs.release(session, content)


def _in_use(count: int, whose: str = "") -> str:
    jobs = f"{count} unfinished job{'' if count == 1 else 's'}{whose}"
    return f"The dataset is in use by {jobs}. Wait for their end, or have them cancelled."


def _unfinished(session: Session, dataset: Dataset, *which: sa.ColumnElement[bool]) -> int:
    """How many jobs, of every project unless ``which`` says more, may still read the dataset."""
    using = sa.select(sa.func.count()).where(Job.dataset_id == dataset.id, Job.status.not_in(FINISHED))
    with across(session):
        return session.scalar(using.where(*which)) or 0


def answer(principal: Principal, dataset: Dataset) -> dict[str, Any]:
    """The dataset as clients see it."""
    return {
        "id": dataset.id,
        "created_at": dataset.created_at,
        "created_by": dataset.created_by,
        "name": dataset.name,
        "metadata": dataset.labels,
        "shared": dataset.shared,
        "read_only": dataset.project_id != principal.project_id,
        "status": dataset.status,
        "sha256": dataset.sha256,
        "size_bytes": dataset.size_bytes,
        "row_count": dataset.row_count,
        "columns": dataset.columns,
        "warnings": dataset.warnings,
    }
