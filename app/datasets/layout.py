"""Which inputs each feature becomes, from its column's description: known before any row is looked at.

So the network's s_1 is known when a job is made, and does not depend on which rows are drawn for training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.datasets.date_features import width_of

PLAIN: Mapping[str, Any] = {"missing_indicators": False, "min_frequency": 1}
"""The options of jobs that were resolved before there were any."""

SHARE = 50
"""In a small table an input of its own takes one row in so many."""


class Layout(NamedTuple):
    """``width`` inputs: of the value, ``indicator`` or not, and one for all ``rare`` categories together."""

    width: int
    indicator: bool = False
    rare: frozenset[str] = frozenset()


def layouts(
    columns: Sequence[Mapping[str, Any]],
    features: Sequence[str],
    options: Mapping[str, Any],
    row_count: int,
) -> list[Layout]:
    """One for each feature. ``columns`` describe the dataset of so many rows (see `profile`).

    ``options`` are a job's resolved training options. An input of its own takes ``min_frequency`` rows or, if
    that is fewer, one in `SHARE`: less teaches it nothing. With ``missing_indicators``, a column with so many
    missing values becomes one more input. Categories with fewer rows are rare, where there are two of them at
    least: one alone would only change its name.
    """
    chosen = {name: options.get(name, PLAIN[name]) for name in PLAIN}
    fewest = min(chosen["min_frequency"], row_count / SHARE)
    by_name = {column["name"]: column for column in columns}
    return [_layout(by_name[name], chosen["missing_indicators"], fewest) for name in features]


def input_width(
    columns: Sequence[Mapping[str, Any]],
    features: Sequence[str],
    options: Mapping[str, Any],
    row_count: int,
) -> int:
    """s_1: the inputs of all features together."""
    return sum(each.width for each in layouts(columns, features, options, row_count))


def _layout(column: Mapping[str, Any], indicates: bool, fewest: float) -> Layout:
    indicator = indicates and column["missing"] >= max(1, fewest)
    if column["type"] == "date":
        return Layout(width_of(column["times"]) + indicator, indicator)
    if column["type"] != "category":
        return Layout(1 + indicator, indicator)
    counts = column.get("counts", {}).items()  # of datasets from before, those of the most frequent alone
    rare = frozenset(name for name, count in counts if count < fewest)
    if len(rare) < 2:
        rare = frozenset()
    own = len(column["categories"]) - len(rare)
    return Layout(own + (len(rare) > 0) + indicator, indicator, rare)
