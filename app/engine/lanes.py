"""Lanes: the processes that compute one run together, each its own leaves of every stage.

Why processes: NumPy gives up Python's lock in every product, and takes it back after; two threads that play
tapes of 10-microsecond calls collide at that lock, and a thread that sleeps on it is awake again only some 30
µs later. Lanes are forked when the tapes are made, write to memory that they share, and wait for each other
by looking at counters in it. That relies on processors which show one core's writes to the others in order:
elsewhere, and where there is no fork, one lane plays every leaf, with the same result.
"""

import logging
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from app.engine.memory import shared_zeros

log = logging.getLogger(__name__)

LINE = 8
"""Integers to a cache line: each lane's counter has one of its own."""

SPINS, YIELDS = 200, 20_000
NAP_SECONDS = 0.0005
SPINS_PER_LOOK = 1000
STILL_LOOKS = 200
"""A lane that uses no processor time over so many looks, two minutes of naps, was stopped: one that computes
or waits uses some."""

CAN_SHARE = hasattr(os, "fork") and sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


class LaneLost(RuntimeError):
    """A process that computed a part of this run has died."""


class Lanes:
    """``count`` lanes of which this process is the first. ``work(lane, task)`` is what each does for
    `run(task)`.

    Alone until `fork`; `barrier` is for use inside of ``work``. Close it, and the others are gone.
    """

    def __init__(self, count: int, work: Callable[[int, int], None]) -> None:
        self.count, self.work = count if CAN_SHARE else 1, work
        self.others: list[int] = []
        self.lane = 0
        self.parent = os.getpid()
        counters: Any = shared_zeros((self.count + 2) * LINE, np.dtype(np.int64))
        self.counters = memoryview(counters)
        self.stage = 0
        self.tasks = 0

    def fork(self) -> None:
        """Start the other lanes. Arrays that are not shared stay as they are now in them."""
        for lane in range(1, self.count):
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", DeprecationWarning
                )  # of threads: a lane runs NumPy, and ends itself
                pid = os.fork()
            if pid == 0:
                self._live(lane)
            self.others.append(pid)

    def run(self, task: int) -> None:
        """Have every lane do the task (a number from 0), and return when all have."""
        if self.count > 1:
            self.counters[self.count * LINE] = task
            self.tasks += 1
            self.counters[(self.count + 1) * LINE] = self.tasks
        self.work(0, task)
        if self.count > 1:
            self.barrier()

    def barrier(self) -> None:
        """Wait until every lane is here."""
        self.stage = stage = self.stage + 1
        counters = self.counters
        counters[self.lane * LINE] = stage
        for lane in range(self.count):
            if counters[lane * LINE] < stage:
                self._wait(lane * LINE, stage)

    def close(self) -> None:
        others, self.others = self.others, []
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in others:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _wait(self, place: int, value: int) -> None:
        counters, spins = self.counters, 0
        used, still = -1.0, 0
        while counters[place] < value:
            spins += 1
            if spins > SPINS:
                os.sched_yield()
                if spins % SPINS_PER_LOOK == 0:
                    self._look()
                    if not self.lane and spins > YIELDS:
                        before, used = used, self._used(place // LINE)
                        still = still + 1 if used == before else 0
                        if still >= STILL_LOOKS:
                            self._lose("stands still")
                if spins > YIELDS:
                    time.sleep(NAP_SECONDS)

    def _used(self, lane: int) -> float:
        """Seconds of processor time of another lane so far; its clock as clock_getcpuclockid(3) names it."""
        return time.clock_gettime(~self.others[lane - 1] << 3 | 2)

    def _lose(self, what: str) -> NoReturn:
        self.close()
        raise LaneLost(f"a process that computed a part of the run {what}")

    def _look(self) -> None:
        """Is everybody still there?"""
        if self.lane:
            if os.getppid() != self.parent:
                os._exit(1)
            return
        for pid in self.others:
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                self.others.remove(pid)
                self._lose("has died")

    def _live(self, lane: int) -> None:
        """The whole life of another lane; it does not return."""
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C to the group is the first lane's to hear
            os.closerange(3, 65536)  # the parent's files and connections are not ours to hold open
            np.seterr(all="ignore")
            self.lane, self.others = lane, []
            while True:
                self.tasks += 1
                self._wait((self.count + 1) * LINE, self.tasks)
                self.work(lane, self.counters[self.count * LINE])
                self.barrier()
        except BaseException:
            with suppress(Exception):
                log.exception("a lane ended")
        finally:
            os._exit(code)
