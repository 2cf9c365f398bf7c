"""A model on rows of a dataset: which they are, what it answers there, and how good that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.datasets import content
from app.datasets import service as datasets
from app.datasets.table import Table
from app.engine.backprop import predict
from app.errors import Conflict, Fault, Gone, Invalid, NotFound
from app.keys.service import Principal
from app.models import evaluation
from app.models.at_once import AtOnce
from app.models.evaluation import BLOCK, Floats
from app.models.schemas import EvaluateRequest
from app.models.warm import Loaded
from app.splits import service as splits
from app.storage.blobs import Blobs
from app.storage.database import Database

MOST_WORK = 200_000_000_000
"""Multiply-adds of one evaluation: about ten seconds of one core."""

MOST_OUTPUTS = 30_000_000
"""Numbers a^(n) that are held at once."""

TURNS = AtOnce(2, 20.0, "evaluations")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a dataset whose targets are known: all of it, or a part of a split.

    ``trained_on`` is how many of them the model has learned from; None where that is not known.
    """

    dataset_id: str
    part: str | None
    table: Table
    numbers: NDArray[np.int64]
    y: Floats
    split_id: str | None = None
    trained_on: int | None = None


class _Meant(NamedTuple):
    """The content that rows are of, and how a split is drawn from it, as training options; None: all rows."""

    dataset_id: str
    sha256: str
    drawn: Mapping[str, Any] | None


def evaluate(
    database: Database,
    blobs: Blobs,
    cache_dir: Path,
    principal: Principal,
    model: Loaded,
    asked: EvaluateRequest,
) -> dict[str, Any]:
    """Cost and measures on a part of the training dataset or of a stored split, or on another dataset.

    Raises NotFound, Gone, Invalid where columns do not fit or it is too much, Unavailable, and Conflict when
    there are no rows to measure on.
    """
    rows = chosen(database, blobs, cache_dir, principal, model, asked)
    with TURNS.turn():
        return measured(model, rows, outputs_on(model, rows))


def chosen(
    database: Database,
    blobs: Blobs,
    cache_dir: Path,
    principal: Principal,
    model: Loaded,
    asked: EvaluateRequest,
) -> Rows:
    """The rows that are meant. Raises NotFound, Gone, Invalid where they are too many, or Conflict."""
    with database.reading() as session:
        find = _own if asked.split_id is None else _stored
        meant = find(session, principal, model, asked)
    table = content.table_of(database, blobs, cache_dir, meant.dataset_id, meant.sha256)
    encoding = model.encoding
    targets = [target.name for target in encoding.targets]
    part, parts, numbers = None, None, np.arange(table.row_count)
    if meant.drawn is not None:
        part = asked.split or "test"
        parts = content.split_of(table, targets, model.task, meant.drawn)
        numbers = getattr(parts, part)
    require(model, len(numbers))
    y = encoding.encode_targets(table, numbers)
    known = ~np.isnan(y).any(axis=1)
    if not known.any():
        where = f"The {part} split is empty." if part else "No row has a target that the model knows."
        raise Conflict(where)
    numbers, trained_on = numbers[known], None
    if model.dataset_id is not None and meant.sha256 == model.dataset_sha256:
        if parts is None or meant.drawn is not model.training:
            parts = content.split_of(table, targets, model.task, model.training)
        trained_on = int(np.isin(numbers, parts.train).sum())
    y = y[known].astype(model.parameters.flat.dtype)
    return Rows(meant.dataset_id, part, table, numbers, y, asked.split_id, trained_on)


def _own(session: Session, principal: Principal, model: Loaded, asked: EvaluateRequest) -> _Meant:
    """The split of the training dataset, or all of another one."""
    dataset_id = asked.dataset_id or model.dataset_id
    if dataset_id is None:
        raise Conflict("The model was imported: there is no split of its training here. Give a dataset_id.")
    if dataset_id != model.dataset_id and asked.split is not None:
        message = "Only the training dataset is split; another is evaluated as a whole."
        raise Invalid(message, Fault("split", "not_allowed", message))
    try:
        sha256 = datasets.get(session, principal, dataset_id).sha256
    except NotFound:
        if asked.dataset_id is None:
            raise Gone("The training dataset has been deleted, or is shared no more.") from None
        raise
    return _Meant(dataset_id, sha256, model.training if dataset_id == model.dataset_id else None)


def _stored(session: Session, principal: Principal, model: Loaded, asked: EvaluateRequest) -> _Meant:
    """A split that was stored, of whatever dataset it is."""
    split = splits.get(session, principal, asked.split_id or "")
    fault = None
    if asked.dataset_id not in (None, split.dataset_id):
        fault = Fault("dataset_id", "not_allowed", "The split is of another dataset.", "Leave it out.")
    elif (split.task, split.target) != (model.task, [each.name for each in model.encoding.targets]):
        message = "The split is for another target or task than the model's."
        fault = Fault("split_id", "not_allowed", message, "Store a split for the model's.")
    if fault is not None:
        raise Invalid(f"{fault.param}: {fault.message}", fault)
    try:
        datasets.get(session, principal, split.dataset_id)
    except NotFound:
        raise Gone("The split's dataset has been deleted, or is shared no more.") from None
    return _Meant(split.dataset_id, split.dataset_sha256, splits.options(split))


def require(model: Loaded, row_count: int) -> None:
    """Raise Invalid where so many rows are more than one evaluation may take."""
    architecture = model.architecture
    work = row_count * architecture.parameter_count
    if work > MOST_WORK or row_count * architecture.s[architecture.n] > MOST_OUTPUTS:
        message = f"{row_count} rows of this network are more than one evaluation may take."
        raise Invalid(message, Fault("dataset_id", "out_of_range", message, "Evaluate on fewer rows."))


def outputs_on(model: Loaded, rows: Rows) -> Floats:
    """h(x) of (4) as (k, s_n), encoded and computed in blocks: x as a whole may be larger than memory."""
    outputs = np.empty_like(rows.y)
    for start in range(0, len(rows.numbers), BLOCK):
        x = inputs_on(model, rows, rows.numbers[start : start + BLOCK])
        outputs[start : start + BLOCK] = predict(model.architecture, model.parameters, x)
    return outputs


def inputs_on(model: Loaded, rows: Rows, numbers: NDArray[np.int64]) -> Floats:
    """x of these rows, in the network's dtype."""
    return model.encoding.encode_inputs(rows.table, numbers).astype(model.parameters.flat.dtype)


def measured(model: Loaded, rows: Rows, outputs: Floats) -> dict[str, Any]:
    """Cost and measures, as clients see them."""
    return {
        "model_id": model.id,
        "dataset_id": rows.dataset_id,
        "split": rows.part,
        "split_id": rows.split_id,
        "row_count": len(rows.numbers),
        "trained_on": rows.trained_on,
        "cost": evaluation.mean_cost(model.architecture, model.training["cost"], outputs, rows.y),
        "metrics": evaluation.full(model.encoding, outputs, rows.y),
    }
