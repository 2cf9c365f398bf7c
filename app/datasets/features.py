"""One feature of a model: how its column becomes input columns, as fitted on the training rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.date_features import DateFeature, has_times
from app.datasets.layout import Layout
from app.datasets.table import BOOLEAN_CATEGORIES, Column

Floats = NDArray[np.float64]

Indicator = Literal["none", "silent", "active"]
"""The input behind a feature's own ones that is 1 where the value is missing, and else 0. none: there is no
such input. silent: there is one, but no training row had a missing value, so its weights are untrained and it
is always 0."""


@dataclass(frozen=True)
class NumberFeature:
    """One input, (value - offset) / scale; a missing value stands for the training rows' mean."""

    name: str
    mean: float
    offset: float
    scale: float
    type: Literal["number"] = "number"
    indicator: Indicator = "none"

    @property
    def width(self) -> int:
        return 1 + (self.indicator != "none")

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        values = column.values[rows]
        missing = np.isnan(values)
        inputs[:, 0] = (np.where(missing, self.mean, values) - self.offset) / self.scale
        _indicate(self.indicator, missing, inputs)


@dataclass(frozen=True)
class BooleanFeature:
    """One input, 0 or 1; a missing value stands for the most frequent one of the training rows."""

    name: str
    most_frequent: int
    type: Literal["boolean"] = "boolean"
    indicator: Indicator = "none"
    categories: tuple[str, ...] = BOOLEAN_CATEGORIES
    """False and true, as the dataset spells them."""

    @property
    def width(self) -> int:
        return 1 + (self.indicator != "none")

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        codes = column.values[rows]
        inputs[:, 0] = np.where(codes < 0, self.most_frequent, codes)
        _indicate(self.indicator, codes < 0, inputs)


@dataclass(frozen=True)
class CategoryFeature:
    """One input per category of the dataset, one-hot; those that are rare share one, "other", behind them.

    A missing value stands for the most frequent category of the training rows. A category that was never
    heard of, or that no training row has (`known` is False), is the other one too, where training rows had
    it; else its weights are untrained, and all of the feature's inputs are 0.
    """

    name: str
    most_frequent: int
    categories: tuple[str, ...]
    known: tuple[bool, ...]
    type: Literal["category"] = "category"
    indicator: Indicator = "none"
    rare: tuple[bool, ...] = ()
    """Of each category whether it is rare; empty where none is."""

    @property
    def width(self) -> int:
        return self.own + any(self.rare) + (self.indicator != "none")

    @property
    def own(self) -> int:
        """Inputs of single categories, which come first; the other one, if there is one, is the next."""
        return len(self.categories) - sum(self.rare)

    @cached_property
    def places(self) -> dict[str, int]:
        """The input, counted from 0, of each category that training rows had."""
        rare = self.rare or (False,) * len(self.categories)
        places, place = {}, 0
        for category, known, is_rare in zip(self.categories, self.known, rare, strict=True):
            if known:
                places[category] = self.own if is_rare else place
            place += not is_rare
        return places

    @property
    def place_of_unknown(self) -> int | None:
        """The input of any other category: the other one, if training rows had it; None: all inputs are 0."""
        return self.own if self.own in self.places.values() else None

    @property
    def place_of_missing(self) -> int | None:
        """The input of a missing value; None where all inputs are 0, since no training row had a value."""
        return self.places.get(self.categories[self.most_frequent]) if self.categories else None

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        unknown, missing = (
            -1 if place is None else place for place in (self.place_of_unknown, self.place_of_missing)
        )
        # By spelling: another dataset may number its categories otherwise. The last place serves code -1.
        place = np.array([*(self.places.get(c, unknown) for c in column.categories or ()), missing])
        codes = column.values[rows]
        slots = place[codes]
        hot = np.flatnonzero(slots >= 0)
        inputs[:] = 0.0
        inputs[hot, slots[hot]] = 1.0
        _indicate(self.indicator, codes < 0, inputs)


Feature = NumberFeature | BooleanFeature | CategoryFeature | DateFeature


def _indicate(indicator: Indicator, missing: NDArray[np.bool_], inputs: Floats) -> None:
    if indicator != "none":
        inputs[:, -1] = missing if indicator == "active" else 0.0


def fit_feature(column: Column, rows: NDArray[np.integer], standardize: bool, layout: Layout) -> Feature:
    """Reads `column` at the training rows and nowhere else; `layout` says which inputs it becomes."""
    values = column.values[rows]
    feature = _fitted(column, values, standardize, layout)
    if not layout.indicator:
        return feature
    missing = np.isnan(values) if column.categories is None else values < 0
    return replace(feature, indicator="active" if missing.any() else "silent")


def _fitted(column: Column, values: NDArray[Any], standardize: bool, layout: Layout) -> Feature:
    if column.categories is None:
        mean, std = moments(values)
        offset, scale = (mean, std) if standardize else (0.0, 1.0)
        if column.type == "date":
            form = column.date_format or "iso"
            return DateFeature(column.name, mean, mean, std, has_times(column.values), form)
        return NumberFeature(column.name, mean, offset, scale)
    counts = np.bincount(values[values >= 0], minlength=len(column.categories))
    most_frequent = int(counts.argmax())
    if column.type == "boolean":
        return BooleanFeature(column.name, most_frequent, categories=column.categories)
    rare = tuple(category in layout.rare for category in column.categories)
    known = tuple((counts > 0).tolist())
    return CategoryFeature(
        column.name, most_frequent, column.categories, known, rare=rare if any(rare) else ()
    )


def moments(values: Floats) -> tuple[float, float]:
    """Mean and population standard deviation without the missing; 0, 1 where there is nothing to go by."""
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 1.0
    largest = float(np.abs(values).max())
    unit = largest if not 1e-100 < largest < 1e100 else 1.0  # else squares overflow or vanish
    scaled = values / (unit or 1.0)
    mean, std = float(scaled.mean()) * unit, float(scaled.std()) * unit
    # The mean of equal numbers may be off by a bit, and their deviation is then a rounding error, not 0.
    return (mean, std) if values.min() < values.max() and std > 1e-300 else (mean, 1.0)


def feature_from_json(document: dict[str, Any]) -> Feature:
    """What `Encoding.to_json` wrote of a feature, in this version or an earlier one."""
    match document["type"]:
        case "number":
            return NumberFeature(**document)
        case "boolean":
            spelled = {"categories": tuple(document.get("categories", BOOLEAN_CATEGORIES))}
            return BooleanFeature(**document | spelled)
        case "date":
            return DateFeature(**document)
    tuples = {name: tuple(document.get(name, ())) for name in ("categories", "known", "rare")}
    return CategoryFeature(**document | tuples)
