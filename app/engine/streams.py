"""Random numbers by name: what a stream yields depends on its name alone, never on what ran before."""

from enum import IntEnum
from typing import Any

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of every seed's meaning: add, never renumber."""

    INITIALISE = 1
    SHUFFLE = 2
    SPLIT = 3
    GENERATE = 4
    DROPOUT = 5
    IMPORTANCE = 8


class Stream:
    """The streams of one seed and purpose. seed is any integer 0 ≤ seed < 2^63.

    Philox is a function of key and counter: the key is (seed, purpose), and the stream's own counters fill
    the counter's upper three words, which leaves each 2^64 blocks of numbers before it would meet its
    neighbour.
    """

    def __init__(self, seed: int, purpose: Purpose) -> None:
        if not 0 <= seed < 2**63:
            raise ValueError("seed must be an integer from 0 to 2^63 - 1")
        self._philox = np.random.Philox(key=np.array([seed, purpose], np.uint64))
        self._state: Any = self._philox.state
        self._generator = np.random.Generator(self._philox)

    def at(self, *counters: int) -> np.random.Generator:
        """The generator called (seed, purpose, counters), at its first number; one at a time is to be had.

        Up to three counters (epoch, step, layer …), as large as a seed. Setting a counter takes a tenth of
        making a generator.
        """
        self._state["state"]["counter"][:] = (0, *counters, *(0,) * (3 - len(counters)))
        self._philox.state = self._state
        return self._generator


def stream(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """A generator of its own called (seed, purpose, counters)."""
    return Stream(seed, purpose).at(*counters)
