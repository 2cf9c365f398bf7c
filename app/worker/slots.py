"""One slot of a supervisor: a warm trainer process and the claim that it is working on."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from app.jobs.queue import Claim
from app.worker import life
from app.worker.stillness import Stillness
from app.worker.surroundings import Surroundings
from app.worker.tally import Tally
from app.worker.trainer import Wish

GRACE_SECONDS = 0.5
"""A trainer that is asked to stop and has not done so by then is killed; its last snapshot stands."""

_spawn = multiprocessing.get_context("spawn")


class Slot:
    """Starts a trainer at once; `assign` gives it work, `ask` tells it to stop.

    ``tally`` counts what its trainers do, one after the other.
    """

    def __init__(self, surroundings: Surroundings, worker_id: str) -> None:
        self._surroundings = surroundings
        self._worker_id = worker_id
        self._lock = threading.Lock()
        self.tally: Tally = _spawn.RawValue(Tally)
        self._stillness = Stillness()
        self.claim: Claim | None = None
        self.wish = Wish.GO_ON
        self.kill_at: float | None = None
        self._start()

    def _start(self) -> None:
        self.connection, theirs = _spawn.Pipe()
        self._shared_wish: Any = _spawn.RawValue("i", Wish.GO_ON)
        self.process: BaseProcess = _spawn.Process(
            target=life.main,
            args=(theirs, self._shared_wish, self.tally, self._surroundings, self._worker_id),
            name="trainer",
        )
        # Inherited: a Ctrl-C to the group while the trainer still imports would end it with a traceback.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.process.start()
        signal.signal(signal.SIGINT, handler)
        theirs.close()
        self.claim, self.wish, self.kill_at = None, Wish.GO_ON, None
        self.ready = self.struck = False

    @property
    def waitable(self) -> Connection:
        return self.connection

    @property
    def idle(self) -> bool:
        return self.ready and self.claim is None

    def assign(self, claim: Claim) -> None:
        self.wish, self.kill_at = Wish.GO_ON, None
        self._shared_wish.value = Wish.GO_ON
        self.claim = claim
        self.connection.send_bytes(json.dumps([claim.job_id, claim.fence]).encode())

    def ask(self, wish: Wish, grace_seconds: float = GRACE_SECONDS) -> None:
        """Tell the trainer to stop, once; `overdue` says when it did not listen."""
        if self.wish == Wish.GO_ON and self.claim is not None:
            self.wish = wish
            self._shared_wish.value = wish
            self.kill_at = time.monotonic() + grace_seconds

    def look(self, seconds: float) -> bool:
        """So long after the last look: does the trainer still use processor time? If not for too long, it is
        `overdue`; True when that is new."""
        self._stillness.look(None if self.claim is None else self.process.pid, seconds)
        if self.overdue or self._stillness.seconds < self._surroundings.stall_seconds:
            return False
        self.kill_at = time.monotonic()
        return True

    @property
    def overdue(self) -> bool:
        return self.kill_at is not None and time.monotonic() >= self.kill_at

    def receive(self) -> str | None:
        """The trainer's word on its claim; None when it has died."""
        try:
            word = self.connection.recv_bytes().decode()
        except (EOFError, OSError):
            return None
        if word == "ready":
            self.ready = True
        else:
            self.claim, self.kill_at = None, None
        return word

    def strike(self) -> bool:
        """Kill a trainer at work, from any thread; whether it was.

        The supervisor finds it dead like any other, and `struck` tells it that the job is not to blame.
        """
        with self._lock:
            if self.claim is None or self.struck:
                return False
            self.struck = True
            self._kill()
            return True

    def _kill(self) -> None:
        if self.process.pid is not None and self.process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):  # another thread may have waited for it just now
                os.kill(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        with self._lock:
            self._kill()
            self.process.join()
        self.connection.close()

    def restart(self) -> None:
        """A new trainer in place of one that is dead, or is to be."""
        self.kill()
        with self._lock:
            self._start()
