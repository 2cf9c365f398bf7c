"""One feature of a model: how its column becomes input columns, as fitted on the training rows."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.table import BOOLEAN_CATEGORIES, Column

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NumberFeature:
    """One input column, (value - offset) / scale; a missing value stands for the training rows' mean."""

    name: str
    mean: float
    offset: float
    scale: float
    type: Literal["number"] = "number"

    width = 1

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        values = column.values[rows]
        inputs[:, 0] = (np.where(np.isnan(values), self.mean, values) - self.offset) / self.scale


@dataclass(frozen=True)
class BooleanFeature:
    """One input column, 0 or 1; a missing value stands for the most frequent one of the training rows."""

    name: str
    most_frequent: int
    type: Literal["boolean"] = "boolean"

    width = 1
    categories = BOOLEAN_CATEGORIES

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        codes = column.values[rows]
        inputs[:, 0] = np.where(codes < 0, self.most_frequent, codes)


@dataclass(frozen=True)
class CategoryFeature:
    """One input column per category of the dataset, one-hot.

    A missing value stands for the most frequent category of the training rows. One that no training row has
    (`known` is False) has untrained weights, so it is all zeros, as is a category never heard of.
    """

    name: str
    most_frequent: int
    categories: tuple[str, ...]
    known: tuple[bool, ...]
    type: Literal["category"] = "category"

    @property
    def width(self) -> int:
        return len(self.categories)

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        # By spelling: another dataset may number its categories otherwise. The last place serves code -1.
        places = {category: i for i, category in enumerate(self.categories) if self.known[i]}
        place = np.array([*(places.get(c, -1) for c in column.categories or ()), self.most_frequent])
        slots = place[column.values[rows]]
        if not any(self.known):
            slots[:] = -1
        hot = np.flatnonzero(slots >= 0)
        inputs[:] = 0.0
        inputs[hot, slots[hot]] = 1.0


Feature = NumberFeature | BooleanFeature | CategoryFeature


def fit_feature(column: Column, rows: NDArray[np.integer], standardize: bool) -> Feature:
    """Reads `column` at the training rows and nowhere else."""
    values = column.values[rows]
    if column.categories is None:
        mean, std = moments(values)
        offset, scale = (mean, std) if standardize else (0.0, 1.0)
        return NumberFeature(column.name, mean, offset, scale)
    counts = np.bincount(values[values >= 0], minlength=len(column.categories))
    most_frequent = int(counts.argmax())
    if column.type == "boolean":
        return BooleanFeature(column.name, most_frequent)
    return CategoryFeature(column.name, most_frequent, column.categories, tuple((counts > 0).tolist()))


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
    match document["type"]:
        case "number":
            return NumberFeature(**document)
        case "boolean":
            return BooleanFeature(**document)
    return CategoryFeature(
        **document | {"categories": tuple(document["categories"]), "known": tuple(document["known"])}
    )
