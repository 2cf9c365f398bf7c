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
TURN, HEAD, COUNTER, PLACES = 8, 9, 10, 16
"""Bytes of the file that are locked; the number that was taken last is in the first eight."""
PLACE_COUNT = 4096


class Turns:
    """A line of processes. ``path`` is SQLite's file; that of the line is beside it.

    SQLite's own way to wait is to try again after 1, 2, 5 … 100 ms. Whoever has just written tries sooner
    than those who wait: a few who write without a pause kept others from it for many seconds. Here who finds
    another writing takes a number, locks the place of that number, and waits for the one before; who is at
    the head of the line lets nobody pass. The kernel unlocks what the dead have locked. SQLite's own lock is
    still what keeps two from writing at once: this decides only who asks for it.
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
            file = self._wait()
            try:
                yield
            finally:
                if file is not None:
                    _unlock(file, TURN)
        finally:
            self._ours.release()

    def _wait(self) -> int | None:
        """Return when it is our turn; the file, if it is one that others see."""
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            until = time.monotonic() + IN_LINE_SECONDS
            had = _step_up(self._file, 0.0) or _stand_in_line(self._file, until)
        except OSError:  # no room for a file, say
            return None
        return self._file if had else None

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _step_up(file: int, until: float) -> bool:
    """To the head of the line, and from there to the turn."""
    if not _lock(file, HEAD, until):
        return False
    try:
        return _lock(file, TURN, until)
    finally:
        _unlock(file, HEAD)


def _stand_in_line(file: int, until: float) -> bool:
    if not _lock(file, COUNTER, until):
        return False
    try:
        number = int.from_bytes(os.pread(file, 8, 0), "little") + 1
        os.pwrite(file, (number % 2**63).to_bytes(8, "little"), 0)
        place, before = (PLACES + each % PLACE_COUNT for each in (number, number - 1))
        _lock(file, place, 0.0)
    finally:
        _unlock(file, COUNTER)
    try:
        if _lock(file, before, until):
            _unlock(file, before)
        return _step_up(file, until)
    finally:
        _unlock(file, place)


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
