import numpy as np
import pytest

from app.engine.memory import shared_zeros


def test_memory_to_share_that_is_not_there_is_a_memory_error() -> None:
    """As of an array of one process: a trainer tells it from a disk that is away, which is an OSError."""
    with pytest.raises(MemoryError):
        shared_zeros(2**60, np.dtype(np.float32))
