"""Room for arrays: aligned to cache lines, and shared with forked processes where several of them compute."""

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Zeros = Callable[[int, "np.dtype[Any]"], Array]
"""Makes zeros of shape (size,) and a dtype; the first byte lies on a 64-byte line."""


def aligned_zeros(size: int, dtype: np.dtype[Any]) -> Array:
    """In memory of this process alone."""
    raw = np.zeros(size * dtype.itemsize + 64, np.uint8)
    first = -raw.ctypes.data % 64
    made: Array = raw[first : first + size * dtype.itemsize].view(dtype)
    return made


def shared_zeros(size: int, dtype: np.dtype[Any]) -> Array:
    """In memory that processes forked later write to as well; it goes with its last array.

    Raises MemoryError.
    """
    # Populated at once: a page that is met in the middle of a step costs four times as much.
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)
    try:
        room = mmap.mmap(-1, max(1, size * dtype.itemsize), flags=flags)
    except OSError as error:  # mmap's word for it; all other arrays have MemoryError
        raise MemoryError(f"{size * dtype.itemsize} bytes to share") from error
    made: Array = np.frombuffer(room, dtype, size)
    return made


def total(values: Array) -> float:
    """Σ in float64; an array of one is a common case, and item() takes a tenth of sum()."""
    return float(values.item() if values.size == 1 else values.sum(dtype=np.float64))
