"""Splits that jobs share: made once, counted, and drawn again by whoever trains on them."""

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.datasets import content, roles
from app.datasets import service as datasets
from app.datasets.split import Split as Parts
from app.datasets.table import Table
from app.errors import Fault, Invalid
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.settings import Settings
from app.splits.schemas import SplitCreate
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import Split

OPTIONS = ("validation_fraction", "test_fraction", "stratify")
"""Of a split, and of a job's training options alike."""


def create(
    database: Database, blobs: Blobs, settings: Settings, principal: Principal, asked: SplitCreate, once: Once
) -> Answered:
    """Part a dataset's rows. Raises NotFound, Gone, or Invalid where target or fractions do not fit."""
    with database.reading() as session:
        dataset = datasets.get(session, principal, asked.dataset_id, param="dataset_id")
    task, _ = roles.resolve_task(dataset.columns, asked.target, asked.task)
    targets = [asked.target] if isinstance(asked.target, str) else asked.target
    split = Split(
        id=new_id("split"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        dataset_id=dataset.id,
        dataset_sha256=dataset.sha256,
        task=task,
        target=targets,
        validation_fraction=asked.validation_fraction,
        test_fraction=asked.test_fraction,
        stratify=task == "classification" if asked.stratify == "auto" else asked.stratify,
        seed=asked.seed,
    )
    parts = parts_of(database, blobs, settings.cache_dir, split)
    if not len(parts.train) or asked.validation_fraction + asked.test_fraction >= 1:
        message = "No row with a target is left for training."
        raise Invalid(message, Fault("validation_fraction", "out_of_range", message, "Lower the fractions."))
    split.parts = parts.digest()
    with once.writing() as session:
        session.add(split)
        session.flush()
        return once.answer(session, f"/v1/splits/{split.id}", answer(split))


def get(
    session: Session, principal: Principal, split_id: str, *, param: str = "split_id", lock: bool = False
) -> Split:
    return lookup.get(session, Split, principal.project_id, split_id, param, lock=lock)


def parts_of(database: Database, blobs: Blobs, cache_dir: Path, split: Split) -> Parts:
    """The rows of each part. Raises Gone when the dataset was deleted."""
    table = content.table_of(database, blobs, cache_dir, split.dataset_id, split.dataset_sha256)
    return drawn(table, split)


def drawn(table: Table, split: Split) -> Parts:
    """The rows of each part of its dataset's table."""
    return content.split_of(table, split.target, split.task, options(split))


def options(split: Split) -> dict[str, Any]:
    """The split as a job's training options say it."""
    return {name: getattr(split, name) for name in OPTIONS} | {"split_seed": split.seed}


def answer(split: Split) -> dict[str, Any]:
    """The split as clients see it."""
    return {
        "id": split.id,
        "created_at": split.created_at,
        "created_by": split.created_by,
        "name": split.name,
        "metadata": split.labels,
        "dataset_id": split.dataset_id,
        "dataset_sha256": split.dataset_sha256,
        "task": split.task,
        "target": split.target[0] if len(split.target) == 1 else split.target,
        **{name: getattr(split, name) for name in OPTIONS},
        "seed": split.seed,
        "parts": split.parts,
    }
