"""Whose turn it is to write to a SQLite file: each waits for the one who came before it."""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import OperationalError

IN_LINE_SECONDS = 1.0
"""Longer than a line ever is. Who has waited for so long waits for one that was stopped, and goes on."""

LEAST_PAUSE, MOST_PAUSE = 0.0002, 0.002
COUNTER, PLACES = 8, 4096


class Turns:
    """A line of processes. ``path`` is SQLite's file; that of the line is beside it.

    SQLite's own way to wait is to try again after 1, 2, 5 … 100 ms. Whoever has just written tries sooner
    than those who wait: a few who write without a pause kept others from it for many seconds. Here each takes
    a number, locks the place of that number and waits for the place before. The kernel unlocks those of the
    dead. SQLite's own lock is still what keeps two from writing at once: this decides only who asks for it.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path.with_name(f"{path.name}-line")
        self._seconds = seconds
        self._ours = threading.Lock()  # of this process's threads one at a time stands in line
        self._file: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raises OperationalError when this process alone has too much to write."""
        if not self._ours.acquire(timeout=self._seconds):
            cause = TimeoutError("others of this process have been writing for too long")
            raise OperationalError("BEGIN IMMEDIATE", None, cause)
        try:
            place = self._stand_in_line()
            try:
                yield
            finally:
                if place is not None and self._file is not None:
                    _unlock(self._file, place)
        finally:
            self._ours.release()

    def _stand_in_line(self) -> int | None:
        """Return when it is our turn; the place to give up afterwards, if there is a line at all."""
        until = time.monotonic() + IN_LINE_SECONDS
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            number = _take_number(self._file, until)
        except OSError:  # no room for a file, say
            return None
        if number is None:
            return None
        before = COUNTER + (number - 1) % PLACES
        if _lock(self._file, before, until):
            _unlock(self._file, before)
        return COUNTER + number % PLACES

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _take_number(file: int, until: float) -> int | None:
    """The next number, its place locked; None when one who took his was stopped in the middle."""
    if not _lock(file, 0, until):
        return None
    try:
        number = int.from_bytes(os.pread(file, COUNTER, 0), "little") + 1
        os.pwrite(file, (number % 2**63).to_bytes(COUNTER, "little"), 0)
        _lock(file, COUNTER + number % PLACES, 0.0)
        return number
    finally:
        _unlock(file, 0)


def _lock(file: int, place: int, until: float) -> bool:
    """Lock one byte; whether that was possible in time."""
    pause = LEAST_PAUSE
    while True:
        with contextlib.suppress(BlockingIOError, PermissionError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(1.3 * pause, MOST_PAUSE)


def _unlock(file: int, place: int) -> None:
    fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
