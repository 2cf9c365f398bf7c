"""Ends the trainers of a supervisor that has not renewed its leases in time, whatever keeps it from that."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from app.worker.slots import Slot

log = logging.getLogger(__name__)

LOOKS_PER_LEASE = 60


class Watchdog(threading.Thread):
    """Waits for no database: it looks at a clock of this host, and at when the last beat was sent.

    What is left of the lease then, a third, is for a host that is too busy to look at once.
    """

    def __init__(self, slots: Sequence[Slot], lease_seconds: float, clock: Callable[[], float]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._slots = slots
        self._lease = lease_seconds
        self._clock = clock
        self._over = threading.Event()
        self._beaten_at = clock()

    def beating(self) -> float:
        """The moment to give to `beaten`, taken before the beat is sent: its lease may begin right then."""
        return self._clock()

    def beaten(self, sent_at: float) -> None:
        """A beat that was sent then has arrived."""
        self._beaten_at = sent_at

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(self._lease / LOOKS_PER_LEASE):
            if self._clock() - self._beaten_at > self._lease * 2 / 3:
                for slot in self._slots:
                    if slot.strike():
                        log.error("trainer %s is killed before its lease can be taken", slot.process.pid)


def awake_or_asleep() -> float:
    """Seconds that go on while this host sleeps, as those of a database elsewhere do."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
