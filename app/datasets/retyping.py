"""Correct the types of a dataset's columns afterwards, as long as nothing was computed from it."""

import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.datasets import guesses, service
from app.datasets.content import keep_table
from app.datasets.jail import Jail
from app.datasets.storing import describe
from app.errors import Conflict
from app.keys.service import Principal
from app.storage.blobs import Blobs
from app.storage.scope import across
from app.storage.tables import Dataset, Job, Model, Split

OF_THE_FILE = "file"


def retype(
    blobs: Blobs, jail: Jail, data_dir: Path, principal: Principal, dataset_id: str, columns: dict[str, Any]
) -> None:
    """Read the dataset's own values anew, some columns as other types.

    Raises NotFound, ReadOnly, InvalidDataset, or Conflict where jobs, models or splits are of what it was.
    """
    database = blobs.database
    with tempfile.TemporaryDirectory(dir=data_dir / "incoming") as name:
        scratch = Path(name)
        with database.reading() as session:
            dataset = service.get(session, principal, dataset_id)
            service.check_own(principal, dataset)
            _check_unused(session, dataset)
            before = dataset.sha256
            blobs.copy(session, dataset.content, scratch / "copy.parquet")
        parsed = jail.retype(scratch / "copy.parquet", scratch, columns)
        content = blobs.stage(parsed.parquet)
        keep_table(parsed.table, data_dir / "cache", parsed.sha256)
        with database.writing() as session:
            blobs.attach(session, content)
            dataset = service.own(session, principal, dataset_id)
            _check_unused(session, dataset)
            if dataset.sha256 != before:
                raise Conflict("Another request has changed the dataset meanwhile.", allowed=("read",))
            old, warnings = dataset.content, dataset.warnings
            describe(dataset, parsed, content)
            kept = [each for each in warnings if _stays(each, columns, parsed.warnings)]
            dataset.warnings = kept + parsed.warnings
            session.flush()
            if old != content.sha256:
                blobs.release(session, old)


def _stays(warning: dict[str, Any], columns: dict[str, Any], new: list[dict[str, Any]]) -> bool:
    """Whether it is of the file, or of how it spelled a column that stays as it is."""
    if warning["param"] == OF_THE_FILE:
        return True
    is_corrected = warning["param"].removeprefix("columns.") in columns
    return warning["code"] in guesses.CODES and not is_corrected and warning not in new


def _check_unused(session: Session, dataset: Dataset) -> None:
    with across(session):  # one that is shared has jobs of other projects
        counts = [
            sa.select(sa.func.count()).where(kind.dataset_id == dataset.id) for kind in (Job, Model, Split)
        ]
        used = any(session.scalar(count) for count in counts)
    if used:
        raise Conflict(
            "Jobs, models or splits say that they are of this dataset, so its content stays. Upload the file "
            "once more, with these columns, or delete them.",
            allowed=("read",),
        )
