"""Datasets: who sees one, shares it and deletes it. How a file becomes one: see `storing`."""

import hashlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import strict_json
from app.errors import Conflict, Fault, Invalid, InvalidDataset, MalformedRequest, ReadOnly
from app.keys.service import Principal
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.scope import across
from app.storage.tables import Dataset, Job

FINISHED = ("succeeded", "failed", "cancelled")

NOT_READY = {
    "processing": "its file is still being read. Ask for it with ?wait=.",
    "failed": "its file could not be read, and its error says why.",
}


def as_sent(upload: Path, said: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """What tells one upload from another, without reading it as a table: its bytes and all beside them."""
    with upload.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": sha256, **said, "columns": columns}


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
    ready: bool = True,
) -> Dataset:
    """The project's own dataset, or one that is shared, to read it and to train on it.

    With ``keep`` it can be neither deleted nor shared no more before this transaction ends. Raises NotFound,
    and Conflict where its rows are not there (yet), unless it need not be ``ready``.
    """
    found = lookup.get(session, Dataset, principal.project_id, dataset_id, param, lock=keep, shared=True)
    if ready and found.status != "ready":
        raise Conflict(
            f"The dataset is {found.status}: {NOT_READY[found.status]}", allowed=("read", "delete")
        )
    return found


def own(session: Session, principal: Principal, dataset_id: str) -> Dataset:
    """The project's own dataset, to change it. Raises NotFound, or ReadOnly where another shares it."""
    dataset = get(session, principal, dataset_id, keep=True, ready=False)
    check_own(principal, dataset)
    return dataset


def check_own(principal: Principal, dataset: Dataset) -> None:
    if dataset.project_id != principal.project_id:
        raise ReadOnly


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
        "sha256": dataset.sha256 or None,
        "size_bytes": dataset.size_bytes,
        "row_count": dataset.row_count,
        "columns": dataset.columns,
        "warnings": dataset.warnings,
        "error": dataset.error,
    }
