"""Random numbers by name: what a stream yields depends on its name alone, never on what ran before."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of every seed's meaning: add, never renumber."""

    INITIALISE = 1
    SHUFFLE = 2
    SPLIT = 3
    GENERATE = 4
    DROPOUT = 5


def stream(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """The generator called (seed, purpose, counters); ask again and it starts again at its first number.

    seed is any integer 0 ≤ seed < 2^63, and up to three counters (epoch, step, layer …) as large. Philox is
    a function of key and counter: the key is (seed, purpose), and the counters fill its upper three words,
    which leaves each stream 2^64 blocks of numbers before it would meet its neighbour.
    """
    if not 0 <= seed < 2**63:
        raise ValueError("seed must be an integer from 0 to 2^63 - 1")
    key = np.array([seed, purpose], np.uint64)
    counter = np.zeros(4, np.uint64)
    counter[1 : 1 + len(counters)] = counters
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def permutation(seed: int, epoch: int, m: int) -> NDArray[np.signedinteger[Any]]:
    """The order in which epoch (1, 2, …) sees the m training examples."""
    return stream(seed, Purpose.SHUFFLE, epoch).permutation(m)
