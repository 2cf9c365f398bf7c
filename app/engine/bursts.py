"""Many short epochs of a full batch in one go: for a small network, Python between two epochs would cost
most.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.descent import Descent
from app.engine.memory import Array
from app.engine.optimizers import OptimizerState
from app.engine.snapshot import Point
from app.engine.stacked import Stacked
from app.engine.tape import play


class Rows(NamedTuple):
    """As in `Epoch`, an entry for each epoch of a burst. ``metric``: its sums, empty without one."""

    cost: list[float]
    data_cost: list[float]
    gradient_norm: list[float]
    metric: NDArray[np.float64]


class Bursts:
    """Goes through up to ``descent.epochs_at_once`` epochs. What the parameters were after one of them is
    computed again if it is asked for, to the same bits.
    """

    def __init__(self, descent: Descent) -> None:
        stacked, state = descent.kinds[descent.pieces[0].rows], descent.state
        assert isinstance(stacked, Stacked)
        assert isinstance(state, OptimizerState)
        self.descent, self.stacked, self.state = descent, stacked, state
        self.vectors = [descent.parameters.flat, *(array.flat for array in state.arrays.values())]

    def to_next_end(self) -> int:
        """Epochs of a burst from here on: the same ends, wherever a run goes on."""
        return self.descent.epochs_at_once - self.state.t % self.descent.epochs_at_once

    def run(self, count: int) -> Rows:
        """Train ``count`` epochs."""
        self.start = self._kept()
        self.stacked.load(self.descent.pieces[0])
        self._train(count)
        data_cost, decay, metric = self.stacked.tallies(count)
        norms = np.sqrt(np.add.reduce(self.descent.update.norms[:count], 1, np.float64))
        lengths = [n if math.isfinite(n) else self._norm(number) for number, n in enumerate(norms.tolist())]
        return Rows((data_cost + decay).tolist(), data_cost.tolist(), lengths, metric)

    def after(self, number: int) -> Point:
        """Parameters and optimizer state after an epoch of the last burst (0, 1, …)."""
        with self._again(number):
            return self.descent.parameters.copy(), self.state.copy()

    def is_finite_after(self, number: int) -> bool:
        return self.after(number)[0].is_finite()

    def _norm(self, number: int) -> float:
        """‖∇J‖ of an epoch whose sum of squares overflowed."""
        with self._again(number):
            return self.descent.update.gradient_norm(self.descent.gradient, number)

    @contextmanager
    def _again(self, number: int) -> Iterator[None]:
        """At the end of an epoch of the last burst."""
        end = self._kept()
        self._restore(*self.start)
        with np.errstate(all="ignore"):  # a caller who takes a snapshot has an error state of his own
            self._train(number + 1)
        yield
        self._restore(*end)

    def _train(self, count: int) -> None:
        play(chain.from_iterable(self.stacked.tapes[0][:count]))
        self.descent.update.steps_done(count)

    def _kept(self) -> tuple[int, list[Array]]:
        return self.state.t, [vector.copy() for vector in self.vectors]

    def _restore(self, t: int, vectors: list[Array]) -> None:
        self.state.t = t
        for vector, kept in zip(self.vectors, vectors, strict=True):
            np.copyto(vector, kept)
