"""What a dataset's columns look like, and which of them are no features by default."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.datasets.date_features import has_times
from app.datasets.moments import moment
from app.datasets.typed import TypedColumn
from app.errors import Fault

DISTINCT_LIMIT = 1_000
BINS = 20
DUPLICATE_SHARE = 0.01
"""Of all rows: fewer that are the same as another are no news."""
ID_NAME = re.compile(
    r"(row|record|sample)?_?(id|index|idx|nr|no|number)|.+_id|uuid|guid|unnamed: ?0", re.IGNORECASE
)


class SetAside(NamedTuple):
    code: str
    reason: str


def profile(
    columns: Sequence[TypedColumn], duplicates: int = 0
) -> tuple[list[dict[str, object]], list[Fault]]:
    """Per column {name, type, missing, used_by_default, reason, …}, and a warning per column set aside.

    Numbers: min, max, mean, std (of the population), quantiles at 0, ¼, ½, ¾, 1 (linear), histogram (20 bins
    of one width from min to max), distinct (null above 1,000), integer; null where there are no values or the
    figure is not finite. Categories and booleans: distinct, categories (all, in code-point order), counts by
    category.
    Text: distinct.
    """
    described, warnings = [], []
    asides = _set_aside(columns)
    for column, aside in zip(columns, asides, strict=True):
        described.append(
            {
                "name": column.name,
                "type": column.type,
                "missing": column.missing,
                "used_by_default": aside is None,
                "reason": aside.reason if aside else None,
                **_figures(column),
            }
        )
        if aside:
            message = f"Column '{column.name}' is not used by default: {aside.reason}."
            hint = "Name it in a job's features to use it."
            if column.type == "text":
                hint = f'To use it, upload with columns {{"{column.name}": {{"type": "category"}}}}.'
            warnings.append(Fault(f"columns.{column.name}", aside.code, message, hint))
    warnings += [_like_dates(column) for column in columns if _are_dates(column)]
    if duplicates >= DUPLICATE_SHARE * columns[0].row_count:
        message = f"{duplicates} rows are the same as an earlier one, in every column."
        hint = "If they were recorded twice, remove them: else a row that is trained on may be tested on."
        warnings.append(Fault("rows", "duplicate_rows", message, hint))
    return described, warnings


def _are_dates(column: TypedColumn) -> bool:
    """Whether all are whole numbers as 20240131, of these two centuries."""
    if column.type != "number" or column.corrected or column.missing == column.row_count:
        return False
    values = column.present()
    if values.min() < 1900_01_01 or values.max() > 2099_12_31 or not _is_integer(values):
        return False
    months, days = values // 100 % 100, values % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())


def _like_dates(column: TypedColumn) -> Fault:
    message = f"The numbers of '{column.name}' look like dates, as 20240131."
    hint = f'If they are, upload with columns {{"{column.name}": {{"type": "date", "format": "%Y%m%d"}}}}.'
    return Fault(f"columns.{column.name}", "numbers_like_dates", message, hint)


def _figures(column: TypedColumn) -> dict[str, object]:
    if column.type == "number":
        return _number_figures(column.present())
    if column.type == "date":
        return _date_figures(column.present())
    if column.type == "text":
        return {"distinct": column.distinct}
    categories = column.categories or ()
    counts = np.bincount(column.present(), minlength=len(categories))
    return {
        "distinct": int((counts > 0).sum()),
        "categories": list(categories),
        "counts": dict(zip(categories, counts.tolist(), strict=True)),
    }


def _number_figures(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, object]:
    if not len(values):
        nothing = dict.fromkeys(("min", "max", "mean", "std"))
        return nothing | {"quantiles": [None] * 5, "histogram": None, "distinct": 0, "integer": False}
    with np.errstate(over="ignore", invalid="ignore"):
        quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
        distinct = len(np.unique(values))
        return {
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": _finite(values.mean()),
            "std": _finite(values.std()),
            "quantiles": [_finite(quantile) for quantile in quantiles],
            "histogram": _histogram(values),
            "distinct": distinct if distinct <= DISTINCT_LIMIT else None,
            "integer": _is_integer(values),
        }


def _histogram(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[int] | None:
    low, high = float(values.min()), float(values.max())
    if low == high or not np.isfinite(high - low):
        return None
    counts: list[int] = np.histogram(values, BINS, (low, high))[0].tolist()
    return counts


def _date_figures(values: NDArray[np.float64]) -> dict[str, object]:
    """The first and the last moment, and how many different ones there are."""
    if not len(values):
        return {"first": None, "last": None, "distinct": 0, "times": False}
    distinct = len(np.unique(values))
    return {
        "first": moment(float(values.min())),
        "last": moment(float(values.max())),
        "distinct": distinct if distinct <= DISTINCT_LIMIT else None,
        "times": has_times(values),
    }


def _finite(figure: float) -> float | None:
    return float(figure) if np.isfinite(figure) else None


def _is_integer(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> bool:
    """Whether all are whole, and small enough that float64 tells neighbours apart."""
    return bool((np.abs(values) <= 2**53).all() and (values == np.floor(values)).all())


def _set_aside(columns: Sequence[TypedColumn]) -> list[SetAside | None]:
    asides = [_useless(column) or _identifier(column) for column in columns]
    used = asides.count(None)
    for i, column in enumerate(columns):
        # A column that counts rows may still be the one thing to learn from: x = 0, 1, 2, … beside y.
        if asides[i] is None and used > 2 and not column.corrected and _counts_rows(column):
            used -= 1
            asides[i] = SetAside("identifier_column", "it counts the rows")
    return asides


def _useless(column: TypedColumn) -> SetAside | None:
    if column.missing == column.row_count:
        return SetAside("empty_column", "all of its values are missing")
    if column.distinct == 1 or (column.type != "text" and _is_constant(column.present())):
        return SetAside("constant_column", "all of its values are the same")
    if column.type != "text":
        return None
    if column.all_different:
        return SetAside("identifier_column", "every value is different, as in an identifier")
    return SetAside("text_column", "it is free text: it has many distinct or long values")


def _is_constant(values: NDArray[Any]) -> bool:
    return bool((values == values[0]).all())


def _identifier(column: TypedColumn) -> SetAside | None:
    if column.corrected or column.type in ("boolean", "date", "text"):
        return None
    values = column.present()
    if len(np.unique(values)) < len(values):
        return None
    if column.type == "category":
        return SetAside("identifier_column", "every value is different, as in an identifier")
    if ID_NAME.fullmatch(column.name) and _is_integer(values):
        return SetAside("identifier_column", "its name and its values are those of an identifier")
    return None


def _counts_rows(column: TypedColumn) -> bool:
    if column.type != "number" or column.values[0] not in (0.0, 1.0):
        return False
    return np.array_equal(column.values, column.values[0] + np.arange(len(column.values)))
