"""Masks of dropout from streams that are named by seed, epoch, step, leaf and layer: nothing else changes
them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.engine.memory import Array
from app.engine.streams import Purpose, Stream

Clock = NDArray[np.int64]
"""The running epoch (1, 2, …), and how many of its steps are done before the running piece."""

LAYERS = 2**16


class Masks:
    """One process's masks; ``probabilities`` are p by layer."""

    def __init__(self, seed: int, probabilities: Mapping[int, float], clock: Clock) -> None:
        self.probabilities, self.clock = probabilities, clock
        self.stream = Stream(seed, Purpose.DROPOUT)

    def draw(self, mask: Array, l: int, leaf: int, step: int = 0) -> None:
        """Fill a leaf's mask of layer l at a step of the piece (0, 1, …): 0 with probability p, else 1 / (1 −
        p).
        """
        p = self.probabilities[l]
        epoch, before = self.clock.tolist()
        drawn = self.stream.at(epoch, before + step, leaf * LAYERS + l).random(mask.shape, mask.dtype)
        np.greater_equal(drawn, p, out=drawn)
        np.multiply(drawn, 1 / (1 - p), out=mask)
