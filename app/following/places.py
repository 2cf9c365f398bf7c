"""How many streams and held requests there may be at once: in all, and with one key."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import TooManyStreams


class Places:
    """A place is taken by each event stream, and by each ?wait= for as long as it waits."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self._most = most
        self._most_per_key = most_per_key
        self._taken: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Places that are taken."""
        return self._taken.total()

    @contextmanager
    def taken(self, key_id: str) -> Iterator[None]:
        """Have a place for as long as the block runs. Raises TooManyStreams."""
        if self._taken[key_id] >= self._most_per_key:
            raise TooManyStreams(
                f"This key has {self._most_per_key} streams and waiting requests open, the most of one key. "
                "End some of them, or ask without ?wait=."
            )
        if self.count >= self._most:
            raise TooManyStreams(f"This server holds {self._most} streams and waiting requests at most.")
        self._taken[key_id] += 1
        try:
            yield
        finally:
            self._taken[key_id] -= 1
            if not self._taken[key_id]:
                del self._taken[key_id]
