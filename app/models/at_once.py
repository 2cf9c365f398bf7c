"""Work that takes a while: as much of it at once as leaves room for everything else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Unavailable


class AtOnce:
    """So many threads in `turn` at once; who comes then waits, but not for long. Thread-safe."""

    def __init__(self, most: int, patience_seconds: float, what: str) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._patience = patience_seconds
        self._what = what

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raises Unavailable when the others take too long."""
        if not self._places.acquire(timeout=self._patience):
            raise Unavailable(
                f"As many {self._what} as this server makes at once are under way.", retry_after=5
            )
        try:
            yield
        finally:
            self._places.release()
