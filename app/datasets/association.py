"""How much one column says about a target: what to look at first, and what looks too good to be true."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.datasets.encoding import class_codes
from app.datasets.table import Column, Table
from app.errors import Fault

MOST_ROWS, MOST_CELLS, FEWEST_ROWS = 20_000, 1_000_000, 1_000
"""Rows that are looked at, evenly spaced: so many, or fewer of a wide table."""

LARGE, BLOCK = 200_000, 100
"""Of tables with more rows than this they are looked at in blocks of so many: a row by itself would take a
page of the file."""

CHUNK = 1 << 20

ROWS_PER_GROUP = 20
SURE, FEWER_ERRORS, STRAIGHT = 0.99, 0.1, 0.9995
"""A column is a suspect where it alone is right in so many rows, and wrong in so much fewer than the most
frequent class is; of a regression where its correlation is so close to 1."""

Measure = Literal["pearson", "correlation_ratio", "cramers_v"]
Codes = NDArray[np.integer[Any]]


class Association(NamedTuple):
    """``value`` is -1 to 1 (pearson), else 0 to 1; None where too little is known. ``suspect``: the column
    alone all but gives the target away."""

    name: str
    measure: Measure
    value: float | None
    suspect: bool


def associations(table: Table, target: str, task: str, names: Sequence[str]) -> list[Association]:
    """One for each of these columns: Pearson's r of two numbers, Cramér's V of two categories (booleans are
    some), and of a number and a category the correlation ratio η, over rows that have both.
    """
    rows = _looked_at(table.row_count, len(names))
    wanted = table.columns[target]
    if task == "regression":
        y = wanted.values[rows]
        return [_with_number(table.columns[name], y, rows) for name in names]
    codes, _ = class_codes(wanted._replace(values=wanted.values[rows]))
    return [_with_classes(table.columns[name], codes, rows) for name in names]


def _looked_at(count: int, columns: int) -> NDArray[np.int64]:
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(1, columns)))
    if count <= LARGE:
        return np.arange(0, count, max(1, -(-count // most)))
    starts = np.linspace(0, count - BLOCK, most // BLOCK).astype(np.int64)
    return np.add.outer(starts, np.arange(BLOCK)).ravel()


def suspicions(found: Sequence[Association], target: str) -> list[Fault]:
    """A warning for each suspect, unless it is all that there is to learn from."""
    if len(found) < 2:
        return []
    message = f"It alone all but tells '{target}'. Is it known before the target is?"
    hint = "If not, it leaks: leave it out of features."
    return [
        Fault(f"features.{each.name[:255]}", "leakage_suspect", message, hint)
        for each in found
        if each.suspect
    ]


def imbalance(column: Column, weighted: bool, parts: int) -> list[Fault]:
    """A warning where classes are of very different sizes, or some have fewer rows than a split has parts."""
    counts = _class_counts(column)
    least, most = (int(each(counts)) if len(counts) else 0 for each in (np.min, np.max))
    warnings = []
    if not weighted and most >= 10 * least:
        message = f"The smallest class has {least} rows, the largest {most}."
        hint = 'Set training.class_weight to "balanced", and judge by macro_f1 rather than by accuracy.'
        warnings.append(Fault("target", "imbalanced_classes", message, hint))
    if few := int((counts < parts).sum()):
        message = f"{few} of {len(counts)} classes have fewer than {parts} rows: not every part has them."
        warnings.append(Fault("target", "small_classes", message, "Gather more rows, or merge such classes."))
    return warnings


def _class_counts(column: Column) -> NDArray[np.int64]:
    """Rows of each class, in any order; counted in chunks, since there may be many."""
    chunks = [column.values[start : start + CHUNK] for start in range(0, len(column.values), CHUNK)]
    if column.categories is not None:
        count = len(column.categories)
        return sum((np.bincount(each[each >= 0], minlength=count) for each in chunks), np.zeros(count, int))
    found: Counter[float] = Counter()
    for each in chunks:
        values, counts = np.unique(each[~np.isnan(each)], return_counts=True)
        found.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return np.array(list(found.values()), dtype=np.int64)


def _with_number(column: Column, y: NDArray[np.float64], rows: NDArray[np.int64]) -> Association:
    values = column.values[rows]
    known = ~(np.isnan(y) | (np.isnan(values) if column.categories is None else values < 0))
    values, y = values[known], y[known]
    if column.categories is None:
        r = _pearson(values, y)
        return Association(column.name, "pearson", r, r is not None and abs(r) >= STRAIGHT)
    ratio = _correlation_ratio(values, y)
    few = len(np.unique(values)) * ROWS_PER_GROUP <= len(values)
    return Association(
        column.name, "correlation_ratio", ratio, few and ratio is not None and ratio >= STRAIGHT
    )


def _with_classes(column: Column, codes: Codes, rows: NDArray[np.int64]) -> Association:
    values = column.values[rows]
    known = (codes >= 0) & (~np.isnan(values) if column.categories is None else values >= 0)
    values, codes = values[known], codes[known]
    if column.categories is None:
        return Association(
            column.name,
            "correlation_ratio",
            _correlation_ratio(codes, values),
            _orders(values, codes),
        )
    return Association(column.name, "cramers_v", _cramers_v(values, codes), _tells(values, codes))


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    with np.errstate(all="ignore"):
        x, y = x - x.mean() if len(x) else x, y - y.mean() if len(y) else y
        return _share(x @ y / np.sqrt((x @ x) * (y @ y)))


def _correlation_ratio(groups: Codes, values: NDArray[np.float64]) -> float | None:
    """η: the root of the share of the variance that lies between the groups."""
    if not len(values):
        return None
    with np.errstate(all="ignore"):
        centred = values - values.mean()
        sizes = np.bincount(groups)
        sums = np.bincount(groups, weights=centred)
        between = (sums[sizes > 0] ** 2 / sizes[sizes > 0]).sum()
        return _share(np.sqrt(between / (centred @ centred)))


def _cramers_v(one: Codes, other: Codes) -> float | None:
    table = _crossed(one, other)
    with np.errstate(all="ignore"):
        total = table.sum()
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
        squares = ((table - expected) ** 2 / expected).sum()
        return _share(np.sqrt(squares / (total * (min(table.shape) - 1))))


def _crossed(one: Codes, other: Codes) -> NDArray[np.float64]:
    """How often each value of one meets each of the other; only those that are there."""
    _, one = np.unique(one, return_inverse=True)
    _, other = np.unique(other, return_inverse=True)
    height, width = int(one.max(initial=-1)) + 1, int(other.max(initial=-1)) + 1
    return np.bincount(one * width + other, minlength=height * width).reshape(height, width).astype(float)


def _orders(values: NDArray[np.float64], codes: Codes) -> bool:
    """Whether nearly every row is of the class of its neighbour, were the rows in the order of the values."""
    if len(codes) < 2 * ROWS_PER_GROUP:
        return False
    drawn = np.random.default_rng(0).permutation(len(values))  # equal values in no order of the file's
    ordered = codes[np.lexsort((drawn, values))]
    wrong, before = float((ordered[1:] != ordered[:-1]).mean()), 1 - np.bincount(codes).max() / len(codes)
    return bool(wrong <= 1 - SURE and wrong <= FEWER_ERRORS * before)


def _tells(groups: Codes, codes: Codes) -> bool:
    """Whether the most frequent class of its group is nearly every row's, as it is not without groups."""
    if len(codes) < 2 * ROWS_PER_GROUP or len(np.unique(groups)) * ROWS_PER_GROUP > len(codes):
        return False
    table = _crossed(groups, codes)
    wrong, before = (1 - each / len(codes) for each in (table.max(axis=1).sum(), table.sum(axis=0).max()))
    return bool(wrong <= 1 - SURE and wrong <= FEWER_ERRORS * before and before > 0)


def _share(value: Any) -> float | None:
    """None where it is not finite; rounding may take it a bit beyond 1."""
    return float(np.clip(value, -1.0, 1.0)) if np.isfinite(value) else None
