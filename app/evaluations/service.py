"""Evaluations that are kept: measured, written, read and deleted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.engine import COSTS
from app.errors import Conflict
from app.evaluations import curves
from app.evaluations.importance import importance, row_count
from app.evaluations.schemas import EvaluationCreate
from app.keys.service import Principal
from app.models import evaluating, evaluation
from app.models.evaluating import Rows
from app.models.evaluation import Floats
from app.models.warm import Loaded
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import Evaluation, Model

Json = dict[str, Any]

MOST_KEPT = 100
"""Of one model."""

LARGEST_MATRIX = 200
"""Classes of a confusion matrix that is kept."""


def measure(
    database: Database,
    blobs: Blobs,
    cache_dir: Path,
    principal: Principal,
    model: Loaded,
    asked: EvaluationCreate,
) -> Json:
    """All that was asked for. Raises as `evaluating.evaluate`."""
    rows = evaluating.chosen(database, blobs, cache_dir, principal, model, asked)
    if asked.importance is not None:
        row_count(model, len(rows.numbers), asked.importance.repeats)
    with evaluating.TURNS.turn():
        with np.errstate(all="ignore"):
            outputs = evaluating.outputs_on(model, rows)
        found = evaluating.measured(model, rows, outputs)
        if len(model.encoding.classes or ()) > LARGEST_MATRIX:
            found["metrics"] = {**found["metrics"], "confusion_matrix": None}
        return {
            **found,
            **_curves(model, rows, outputs),
            "worst_rows": _worst(model, rows, outputs, asked.worst_rows),
            "importance": None if asked.importance is None else importance(model, rows, asked.importance),
        }


def _curves(model: Loaded, rows: Rows, outputs: Floats) -> Json:
    classes = model.encoding.classes
    if classes is None or not np.isfinite(outputs).all():
        return {"roc": None, "calibration": None}
    shares, labels = evaluation.probabilities(outputs), rows.y.argmax(axis=1)
    return {
        "roc": curves.roc(classes, shares, labels),
        "calibration": curves.calibration(shares, labels),
    }


def _worst(model: Loaded, rows: Rows, outputs: Floats, count: int) -> list[Json]:
    """The rows of the greatest J, what is not finite before all; of equal ones the first."""
    form = COSTS[model.training["cost"]][model.architecture.layers[-1].activation]
    with np.errstate(all="ignore"):
        costs = form.examples(outputs.T, rows.y.T)
    order = np.argsort(-np.nan_to_num(costs, nan=np.inf, posinf=np.inf), kind="stable")[:count]
    encoding = model.encoding
    predictions, targets = (encoding.decode_outputs(each[order]) for each in (outputs, rows.y))
    shares = evaluation.probabilities(outputs[order])
    told = []
    for i, place in enumerate(order.tolist()):
        known = bool(np.isfinite(outputs[place]).all())
        row: Json = {"row": int(rows.numbers[place]), "cost": float(costs[place]) if known else None}
        row |= {"target": targets[i], "prediction": predictions[i] if known else None, "probability": None}
        if encoding.classes is not None:
            row["probability"] = float(shares[i, rows.y[place].argmax()]) if known else None
        told.append(row)
    return told


def keep(
    session: Session, principal: Principal, model: Loaded, asked: EvaluationCreate, found: Json
) -> Evaluation:
    """Write it down. Raises NotFound for a model that has gone, Conflict when there are too many."""
    lookup.get(session, Model, principal.project_id, model.id, "model_id", lock=True)
    count = session.scalar(sa.select(sa.func.count()).where(Evaluation.model_id == model.id)) or 0
    if count >= MOST_KEPT:
        message = f"{MOST_KEPT} evaluations of this model are kept, the most there may be. Delete some first."
        raise Conflict(message, allowed=("delete",))
    row = Evaluation(
        id=new_id("evl"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        model_id=model.id,
        dataset_id=found["dataset_id"],
        found=found,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, principal: Principal, model: Model, evaluation_id: str) -> Evaluation:
    """One of this model's. Raises NotFound."""
    row = lookup.get(session, Evaluation, principal.project_id, evaluation_id, "evaluation_id")
    if row.model_id != model.id:
        lookup.get(session, Evaluation, principal.project_id, "", "evaluation_id")
    return row


def answers(rows: Sequence[Evaluation]) -> list[Json]:
    """As clients see them."""
    return [answer(row) for row in rows]


def answer(row: Evaluation) -> Json:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "name": row.name,
        "metadata": row.labels,
        **row.found,
    }
