"""A date as a feature: where it lies in time, in the year, in the week, and in the day."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.table import Column

Floats = NDArray[np.float64]

YEAR, WEEK, DAY = 31_556_952.0, 604_800.0, 86_400.0
"""Seconds; of a mean year of the Gregorian calendar, so that a day of the year may be off by one."""

MONDAY = 4 * DAY
"""1970 began on a Thursday."""

CYCLES = ((YEAR, 0.0), (WEEK, MONDAY))
CYCLES_WITH_TIMES = (*CYCLES, (DAY, 0.0))


def width_of(times: bool) -> int:
    """Inputs of a date, which may have a time of day."""
    return 1 + 2 * len(CYCLES_WITH_TIMES if times else CYCLES)


def has_times(seconds: Floats) -> bool:
    """Whether any of a column's dates is not a midnight."""
    return bool((np.nan_to_num(seconds) % DAY != 0).any())


@dataclass(frozen=True)
class DateFeature:
    """(t - offset) / scale of t, seconds since 1970; then sine and cosine of each of its cycles: a year, a
    week, and where the column has ``times`` a day. So the last day of a year lies beside the first.

    The first is scaled whether or not features are to be: seconds are much larger than any other input.
    A missing value stands for the training rows' mean; of its cycles both are 0, as of none of their points.
    ``date_format`` is how the training dataset wrote its dates: see `moments.FORMATS`.
    """

    name: str
    mean: float
    offset: float
    scale: float
    times: bool
    date_format: str = "iso"
    type: Literal["date"] = "date"
    indicator: Literal["none", "silent", "active"] = "none"

    categories = None

    @property
    def width(self) -> int:
        return width_of(self.times) + (self.indicator != "none")

    @property
    def cycles(self) -> tuple[tuple[float, float], ...]:
        """Each cycle's length in seconds, and where in it 1970 ends short of its beginning."""
        return CYCLES_WITH_TIMES if self.times else CYCLES

    def encode(self, column: Column, rows: NDArray[np.integer], inputs: Floats) -> None:
        seconds = column.values[rows]
        missing = np.isnan(seconds)
        inputs[:, 0] = (np.where(missing, self.mean, seconds) - self.offset) / self.scale
        for i, (length, shift) in enumerate(self.cycles):
            angle = math.tau * ((seconds - shift) / length % 1.0)
            inputs[:, 1 + 2 * i] = np.where(missing, 0.0, np.sin(angle))
            inputs[:, 2 + 2 * i] = np.where(missing, 0.0, np.cos(angle))
        if self.indicator != "none":
            inputs[:, -1] = missing if self.indicator == "active" else 0.0

    def encode_one(self, seconds: float | None, inputs: list[float], start: int) -> None:
        """As `encode`, of one value; ``inputs`` are 0 before."""
        inputs[start] = ((self.mean if seconds is None else seconds) - self.offset) / self.scale
        if seconds is None:
            if self.indicator == "active":
                inputs[start + self.width - 1] = 1.0
            return
        for i, (length, shift) in enumerate(self.cycles):
            angle = math.tau * ((seconds - shift) / length % 1.0)
            inputs[start + 1 + 2 * i] = math.sin(angle)
            inputs[start + 2 + 2 * i] = math.cos(angle)
