"""Permutation importance: how much worse the answers get when a column's values are dealt out anew.

Breiman 2001, "Random Forests", section 10; as measured here, on rows that were held out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.streams import Purpose, stream
from app.errors import Fault, Invalid
from app.evaluations.schemas import ImportanceRequest
from app.models import evaluation
from app.models.evaluating import MOST_WORK, Rows, inputs_on
from app.models.evaluation import Floats, outputs_of
from app.models.warm import Loaded

Json = dict[str, Any]

MOST_ROWS = 10_000
LEAST_ROWS = 50
MOST_INPUTS = 50_000_000
"""Numbers x that are held at once, twice."""


def row_count(model: Loaded, available: int, repeats: int) -> int:
    """On how many rows it is measured. Raises Invalid where even a few take too long."""
    features = len(model.encoding.features)
    work = model.architecture.parameter_count * (features * repeats + 1)
    most = min(MOST_ROWS, available, MOST_WORK // work, MOST_INPUTS // max(1, model.encoding.input_width))
    if most < min(LEAST_ROWS, available):
        message = f"{features} columns, {repeats} times each, are more than one evaluation may take."
        raise Invalid(message, Fault("importance.repeats", "out_of_range", message))
    return most


def importance(model: Loaded, rows: Rows, asked: ImportanceRequest) -> Json:
    """By column, in order: mean and standard deviation over the repeats of the loss. Depends on nothing else
    than the model, the rows and the seed.
    """
    count = row_count(model, len(rows.numbers), asked.repeats)
    places = np.sort(stream(asked.seed, Purpose.IMPORTANCE).choice(len(rows.numbers), count, replace=False))
    y = rows.y[places]
    x = inputs_on(model, rows, rows.numbers[places])
    base = _scores(model, x, y)
    shuffled = x.copy()
    columns, start = [], 0
    for place, feature in enumerate(model.encoding.features, 1):
        span = slice(start, start + feature.width)
        start += feature.width
        found = []
        for repeat in range(asked.repeats):
            dealt = stream(asked.seed, Purpose.IMPORTANCE, place, repeat).permutation(count)
            shuffled[:, span] = x[dealt, span]
            found.append(_scores(model, shuffled, y))
        shuffled[:, span] = x[:, span]
        columns.append({"feature": feature.name, **_losses(base, found)})
    return {"row_count": count, "repeats": asked.repeats, "seed": asked.seed, "columns": columns}


def _scores(model: Loaded, x: Floats, y: Floats) -> dict[str, float | None]:
    """The cost, and the measure that a model of the task is judged by."""
    with np.errstate(all="ignore"):
        outputs = outputs_of(model.architecture, model.parameters, x)
    found = evaluation.summary(model.encoding, outputs, y) or {}
    name = "r2" if model.encoding.classes is None else "accuracy"
    return {
        "cost": evaluation.mean_cost(model.architecture, model.training["cost"], outputs, y),
        name: found.get(name),
    }


def _losses(base: dict[str, float | None], found: list[dict[str, float | None]]) -> Json:
    """How much the cost grows, and the measure falls."""
    losses: Json = {}
    for name, before in base.items():
        after = [each[name] for each in found]
        sign = 1.0 if name == "cost" else -1.0
        known = before is not None and all(each is not None for each in after)
        changes: NDArray[np.float64] = np.array(
            [sign * ((each or 0.0) - (before or 0.0)) for each in after] if known else [np.nan]
        )
        key = "cost_increase" if name == "cost" else f"{name}_decrease"
        losses[key] = {"mean": float(changes.mean()), "std": float(changes.std())} if known else None
    return losses
