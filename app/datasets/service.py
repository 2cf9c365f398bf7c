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
from app.datasets.content import keep_table
from app.datasets.jail import Jail, Parsed, ParseRequest
from app.datasets.schemas import Envelope
from app.errors import Conflict, Fault, Invalid, InvalidDataset, MalformedRequest
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.storage import lookup
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now
from app.storage.disk import Disk
from app.storage.tables import Dataset, Job
from app.validation import FAULT_LIMIT

FINISHED = ("succeeded", "failed", "cancelled")

_envelope = TypeAdapter(Envelope)


class Uploads:
    """Turns received files into datasets."""

    def __init__(self, blobs: Blobs, jail: Jail, disk: Disk, data_dir: Path) -> None:
        self._disk = disk
        self._blobs = blobs
        self._jail = jail
        self._incoming = data_dir / "incoming"
        self._cache = data_dir / "cache"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def place(self) -> Path:
        """Where to write the next upload; `create` deletes it."""
        return self._incoming / secrets.token_hex(16)

    def create(
        self, principal: Principal, upload: Path, name: str | None, columns: dict[str, Any], once: Once
    ) -> Answered:
        """Parse the file and store it. Raises InvalidDataset, TooLarge, or Invalid for name and metadata.

        Raises DiskFull, and OSError, for want of room; nothing of it is left then.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self._incoming) as scratch:
                parsed = self._jail.parse(upload, Path(scratch), ParseRequest(columns))
                self._disk.require(parsed.parquet.stat().st_size)
                envelope = _checked({"name": name} | parsed.envelope)
                content = self._blobs.stage(parsed.parquet)
                keep_table(parsed.table, self._cache, parsed.sha256)
        finally:
            upload.unlink(missing_ok=True)
        return self._store(principal, parsed, envelope, content, once)

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
        )
        with once.writing() as session:
            self._blobs.attach(session, content)
            session.add(dataset)
            return once.answer(session, f"/v1/datasets/{dataset.id}", answer(dataset))


def as_sent(upload: Path, name: str | None, columns: dict[str, Any]) -> dict[str, Any]:
    """What tells one upload from another, without reading it as a table: its bytes, name and ``columns``."""
    with upload.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": sha256, "name": name, "columns": columns}


def _checked(envelope: dict[str, Any]) -> Envelope:
    try:
        return _envelope.validate_python(envelope)
    except ValidationError as error:
        faults = [
            Fault(".".join(str(step) for step in each["loc"]), "invalid", each["msg"])
            for each in error.errors(include_url=False, include_input=False)[:FAULT_LIMIT]
        ]
        raise Invalid(f"{faults[0].param}: {faults[0].message}", *faults) from None


def corrections(text: str | None) -> dict[str, Any]:
    """The ``columns`` of a multipart form or a query: a JSON object in text."""
    if text is None:
        return {}
    hint = 'For example {"zip": {"type": "category"}}.'
    try:
        value = strict_json.loads(text.encode())
    except MalformedRequest as error:
        message = error.detail.replace("The body", "The text")
        raise InvalidDataset(
            f"columns: {message}", Fault("columns", "malformed_json", message, hint)
        ) from None
    if not isinstance(value, dict):
        message = "Expected a JSON object."
        raise InvalidDataset(f"columns: {message}", Fault("columns", "wrong_type", message, hint))
    return value


def get(
    session: Session,
    principal: Principal,
    dataset_id: str,
    *,
    param: str = "dataset_id",
    keep: bool = False,
) -> Dataset:
    """The dataset; with ``keep`` it cannot be deleted before this transaction ends."""
    return lookup.get(session, Dataset, principal.project_id, dataset_id, param, lock=keep)


def delete(session: Session, blobs: Blobs, principal: Principal, dataset_id: str) -> None:
    """Delete a dataset that no unfinished job uses; finished jobs keep its SHA-256."""
    dataset = get(session, principal, dataset_id, keep=True)
    using = sa.select(sa.func.count()).where(Job.dataset_id == dataset.id, Job.status.not_in(FINISHED))
    if count := session.scalar(using):
        raise Conflict(f"{count} unfinished jobs use this dataset.", allowed=("read",))
    content = dataset.content
    session.delete(dataset)
    session.flush()
    blobs.release(session, content)


def answer(dataset: Dataset) -> dict[str, Any]:
    """The dataset as clients see it."""
    return {
        "id": dataset.id,
        "created_at": dataset.created_at,
        "created_by": dataset.created_by,
        "name": dataset.name,
        "metadata": dataset.labels,
        "status": dataset.status,
        "sha256": dataset.sha256,
        "size_bytes": dataset.size_bytes,
        "row_count": dataset.row_count,
        "columns": dataset.columns,
        "warnings": dataset.warnings,
    }
