"""How right the outputs are, beside the cost: accuracy and r2. Examples are columns."""

import numpy as np
from numpy.typing import NDArray

from app.engine.memory import Array

Sums = NDArray[np.float64]


class Measure:
    """One metric over the examples whose targets are ``rows`` (m, s_n).

    accuracy: the share of examples whose greatest output is that of the greatest target or, with one output
    unit, that lie on the target's side of ½. r2: 1 − Σ(a − y)² / Σ(y − ȳ)² of each output, averaged over the
    outputs; the same in scaled and in raw units. An output whose target is constant counts as 1 if it is met
    exactly, else as 0.
    """

    def __init__(self, name: str, rows: Array) -> None:
        self.name, self.m = name, len(rows)
        self.width = rows.shape[1] if name == "r2" else 1
        if name == "r2":
            self.spread = self.m * np.var(rows, axis=0, dtype=np.float64)

    def sums(self, a: Array, y: Array) -> Sums:
        """What a piece of the examples adds; a and y are (…, s_n, m)."""
        if self.name == "r2":
            difference = np.subtract(a, y, dtype=np.float64)
            difference = np.moveaxis(difference, -2, 0).reshape(a.shape[-2], -1)
            squares: Sums = np.einsum("ik,ik->i", difference, difference)
            return squares
        one = a.shape[-2] == 1
        right = (a > 0.5) == (y > 0.5) if one else a.argmax(axis=-2) == y.argmax(axis=-2)
        return np.array([np.count_nonzero(right)], np.float64)

    def value(self, sums: Sums) -> float:
        """The metric, once every example has been added."""
        if self.name == "accuracy":
            return float(sums[0]) / self.m
        varied = self.spread > 0
        ratio = np.divide(sums, self.spread, out=np.where(sums > 0, 1.0, 0.0), where=varied)
        return float(np.mean(1.0 - ratio))
