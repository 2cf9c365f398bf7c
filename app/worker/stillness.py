"""How long a trainer has used no processor time: one that was stopped, or waits for itself, never will.

Whoever computes uses some, also inside of one product that takes an hour, and so does whoever waits for a
database that is away, or for a lane. So a trainer need not say that it gets further, and no length of an
epoch matters.
"""

import time
from collections.abc import Iterator
from pathlib import Path


class Stillness:
    """Of one slot, by the looks of its supervisor. What counts is their number, not the time between them:
    where everybody stood still, as in a container that was frozen, it is not the trainer's fault.
    """

    def __init__(self) -> None:
        self._used: float | None = None
        self.seconds = 0.0

    def look(self, pid: int | None, seconds: float) -> None:
        """One look more, so many seconds after the last; None: nobody is at work."""
        used = None if pid is None else processor_seconds(pid)
        self.seconds = self.seconds + seconds if used is not None and used == self._used else 0.0
        self._used = used


def processor_seconds(pid: int) -> float | None:
    """What a process and the programs below it have used so far; None where this host does not tell (Linux
    does). Lanes do not count: they are forks, and as long as they wait for their trainer they look for it.
    """
    try:
        return sum(time.clock_gettime(_clock_of(each)) for each in _family(pid))
    except OSError:  # one of them has just ended, or there are no such files and clocks
        return None


def _clock_of(pid: int) -> int:
    """As clock_getcpuclockid(3) reckons it, for the scheduler's own count of nanoseconds."""
    return ~pid << 3 | 2


def _family(pid: int) -> Iterator[int]:
    yield pid
    program = _command_line(pid)
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            if _command_line(child) != program:
                yield from _family(child)


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
