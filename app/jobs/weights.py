"""What each row counts in a job's costs and gradients: v_k, its class's weight times its own."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.encoding import class_codes
from app.datasets.split import Split
from app.datasets.table import Table
from app.errors import Fault

Floats = NDArray[np.float64]

CLASSES, COLUMN = "training.class_weight", "training.sample_weight_column"
FAULT_LIMIT, HINT_LIMIT = 20, 3
"""Unknown classes that are told, and those of them that are given the nearest name."""


def is_weighted(training: Mapping[str, Any]) -> bool:
    """Whether these training options weigh anything."""
    return training["class_weight"] is not None or training["sample_weight_column"] is not None


def of_rows(
    table: Table, target: str, training: Mapping[str, Any], rows: NDArray[np.integer]
) -> Floats | None:
    """v (k,) of the k rows, from resolved training options; None where every row counts alike."""
    if not is_weighted(training):
        return None
    v = np.ones(len(rows))
    if (by_class := training["class_weight"]) is not None:
        codes, classes = class_codes(table.columns[target])
        v *= np.array([by_class.get(name, 1.0) for name in classes])[codes[rows]]
    if (column := training["sample_weight_column"]) is not None:
        v *= table.columns[column].values[rows]
    return v


def resolve(
    table: Table, split: Split, target: str, training: Mapping[str, Any], faults: list[Fault]
) -> dict[str, float] | None:
    """The weight of every class, or None; every fault of the weights is appended.

    A class weight needs classification, and a column of weights must be a number column.
    """
    by_class = _by_class(table, split, target, training["class_weight"], faults)
    if _is_column_good(table, split, training["sample_weight_column"], faults):
        _check_sums(table, split, target, {**training, "class_weight": by_class}, faults)
    return by_class


def _by_class(
    table: Table,
    split: Split,
    target: str,
    asked: str | Mapping[str, float] | None,
    faults: list[Fault],
) -> dict[str, float] | None:
    if asked is None:
        return None
    codes, classes = class_codes(table.columns[target])
    if isinstance(asked, str):
        counts = np.bincount(codes[split.train], minlength=len(classes)).tolist()
        present = sum(count > 0 for count in counts)
        return {
            name: len(split.train) / (present * count) if count else 1.0
            for name, count in zip(classes, counts, strict=True)
        }
    unknown = [name for name in asked if name not in set(classes)]
    for index, name in enumerate(unknown[:FAULT_LIMIT]):
        near = get_close_matches(name[:255], classes, n=1, cutoff=0.5) if index < HINT_LIMIT else []
        message = "The target has no such class."
        hint = f"Did you mean '{near[0]}'?" if near else None
        faults.append(Fault(f"{CLASSES}.{name[:255]}", "unknown_class", message, hint))
    return {name: asked.get(name, 1.0) for name in classes}


def _is_column_good(table: Table, split: Split, column: str | None, faults: list[Fault]) -> bool:
    if column is None:
        return True
    values = table.columns[column].values[np.concatenate(split)]
    missing, negative = int(np.isnan(values).sum()), int((values < 0).sum())
    if missing or negative:
        message = f"Of the rows with a target {missing} have no weight and {negative} a negative one."
        hint = "Give each row a weight; 0 leaves it out of costs and gradients."
        faults.append(Fault(COLUMN, "invalid_weights", message, hint))
    return not missing and not negative


def _check_sums(
    table: Table, split: Split, target: str, training: Mapping[str, Any], faults: list[Fault]
) -> None:
    if not is_weighted(training):
        return
    param = CLASSES if training["sample_weight_column"] is None else COLUMN
    parts: Sequence[tuple[str, NDArray[np.int64]]] = (
        ("training", split.train),
        ("validation", split.validation),
    )
    for name, rows in parts:
        with np.errstate(over="ignore"):
            v = of_rows(table, target, training, rows)
            total = 1.0 if v is None or not len(v) else float(v.sum())
        if not np.isfinite(total):
            message = f"The weights of the {name} rows add up to more than a number can be."
            faults.append(Fault(param, "invalid_weights", message, "Divide all of them by the largest."))
        elif total <= 0:
            message = f"All weights of the {name} rows are 0."
            faults.append(Fault(param, "invalid_weights", message, "Weigh some of them more than 0."))
