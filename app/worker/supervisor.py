"""The supervisor: claims jobs for its slots, renews their leases, and stops or replaces trainers."""

import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from sqlalchemy.exc import SQLAlchemyError

from app.jobs import holds, queue, workers
from app.jobs.queue import Claim
from app.storage.changes import Changes
from app.storage.columns import now
from app.storage.disk import is_full
from app.worker import endings, tally
from app.worker.slots import Slot
from app.worker.surroundings import Surroundings
from app.worker.trainer import Wish
from app.worker.watchdog import Watchdog, awake_or_asleep

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
BEAT_SECONDS, BEATS_PER_LEASE = 1.0, 5
"""Every second, and more often where leases are short: a beat that is late must not cost a job."""

DRAIN_SECONDS = 4.0
STOPS = {"cancel": Wish.CANCEL, "pause": Wish.PAUSE}


class Supervisor:
    """``nudges``: a descriptor that is readable when there may be work; its end means our parent's end."""

    def __init__(self, worker_id: str, surroundings: Surroundings, nudges: int | None = None) -> None:
        self.id = worker_id
        self.surroundings = surroundings
        self.nudges = nudges
        self.database = surroundings.database()
        self.blobs = surroundings.blobs(self.database)
        self.disk = surroundings.disk()
        self.changes = Changes(self.database)
        self.slots = [Slot(surroundings, worker_id) for _ in range(surroundings.slots)]
        host, pid = socket.gethostname(), os.getpid()
        self.counts = Counter[str](crashed=0, killed=0, lost=0, recovered=0)
        self.described = {"host": host, "pid": pid, "slots": surroundings.slots, "started_at": now()}
        self.stopping = False
        self.signals = -1
        self.trouble = ""
        self.beat_due = 0.0
        self.in_doubt = False
        # On SQLite leases go by this host's own clock, which stands still while the host sleeps.
        steady = time.monotonic if self.database.is_sqlite else awake_or_asleep
        self.watchdog = Watchdog(self.slots, surroundings.lease_seconds, steady)
        self.lock: IO[str] | None = None

    def run(self) -> None:
        """Work until SIGTERM, SIGINT or the end of ``nudges``; then hand every job back and go."""
        os.umask(0o077)
        self.signals, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written)  # a signal alone would not end a wait
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        self.lock = _lock(self.surroundings.locks, self.id)
        self.watchdog.start()
        try:
            while not self.stopping:
                with self._database_may_be_away():
                    self._wait()
                    self._turn()
            self._drain()
        finally:
            self._leave()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    @contextlib.contextmanager
    def _database_may_be_away(self) -> Iterator[None]:
        try:
            yield
            self.trouble = ""
        except Exception as error:  # whatever it is, the other slots' jobs must not pay for it
            if is_full(error):
                self._warn("there is no room left on the disk: nothing can be written")
            elif isinstance(error, SQLAlchemyError):
                self._warn(f"the database cannot be reached: {type(error).__name__}")
            else:
                log.exception("the supervisor goes on after an unexpected condition")
            self.in_doubt = True
            time.sleep(LOOK_SECONDS)

    def _warn(self, trouble: str) -> None:
        """Once, for as long as it lasts."""
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning(trouble)

    def _wait(self) -> None:
        """Until a trainer speaks or dies, somebody nudges us, or it is time to look anyway."""
        watched: list[Any] = [self.signals, *(slot.waitable for slot in self.slots)]
        listening = self.changes.fileno()
        watched += [each for each in (self.nudges, listening) if each is not None]
        pause = LOOK_SECONDS
        if self.nudges is None and listening is None:
            pause = 0.02  # a worker of its own beside a SQLite file: look at its data_version
        overdue = [slot.kill_at - time.monotonic() for slot in self.slots if slot.kill_at is not None]
        speaking = wait(watched, max(0.0, min([pause, self.beat_due - time.monotonic(), *overdue])))
        if self.signals in speaking:
            os.read(self.signals, 4096)
        if self.nudges in speaking and not os.read(self.nudges, 4096):
            self.stopping = True
        for slot in self.slots:
            if slot.waitable in speaking:
                self._hear(slot)

    def _hear(self, slot: Slot) -> None:
        claim = slot.claim
        word = slot.receive()
        if word is None:
            self._bury(slot, claim)
        elif word == "released" and claim is not None:
            queue.release(self.database, claim, crashed=False)
        elif word == "lost":
            self.counts["lost"] += 1

    def _bury(self, slot: Slot, claim: Claim | None) -> None:
        self.counts["killed" if slot.overdue or slot.struck else "crashed"] += 1
        slot.kill()
        job = {} if claim is None else {"job_id": claim.job_id}
        log.warning("trainer %s died: %s", slot.process.pid, slot.process.exitcode, extra=job)
        try:
            if claim is not None and slot.wish in STOPS.values():
                endings.stop(self.database, self.blobs, claim, self.surroundings.lease_seconds)
            elif claim is not None:
                crashed = slot.wish == Wish.GO_ON and not slot.struck
                queue.release(self.database, claim, crashed=crashed)
        finally:
            slot.restart()

    def _turn(self) -> None:
        for slot in self.slots:  # first: one may hold a lock that all else would wait for
            if slot.overdue:
                self._bury(slot, slot.claim)
        beats = time.monotonic() >= self.beat_due
        if beats:
            self._beat()
        changed = self.changes.poll()
        if beats:
            self._free_the_dead()
            if not self.database.is_sqlite or self.disk.is_roomy():
                holds.resume(self.database)
        elif changed or self.nudges is not None:
            self._look_for_wishes()
        if beats or changed or self.nudges is not None:
            for claim in queue.lapsed_stops(self.database, self.id):
                endings.stop(self.database, self.blobs, claim, self.surroundings.lease_seconds)
        idle = [slot for slot in self.slots if slot.idle]
        if idle and not self.stopping:
            lease, most = self.surroundings.lease_seconds, self.surroundings.max_running_jobs
            claims = queue.claim(self.database, self.id, len(idle), lease, most)
            for slot, claim in zip(idle, claims, strict=False):
                self.counts["recovered"] += claim.recovered
                slot.assign(claim)

    def _claims(self) -> list[Claim]:
        return [slot.claim for slot in self.slots if slot.claim is not None]

    def _beat(self) -> None:
        lease = self.surroundings.lease_seconds
        pause = min(BEAT_SECONDS, lease / BEATS_PER_LEASE)
        due = time.monotonic() + pause
        for slot in self.slots:
            if slot.look(pause):
                log.error("trainer %s stands still and is killed", slot.process.pid)
        sent_at = self.watchdog.beating()
        counts = {**tally.total(slot.tally for slot in self.slots), **self.counts}
        wanted = queue.heartbeat(self.database, self.id, self._claims(), lease, self.described, counts)
        self.watchdog.beaten(sent_at)
        if self.in_doubt:  # an answer was lost: the database may know of claims that we do not
            queue.give_back_strays(self.database, self.id, self._claims())
            self.in_doubt = False
        self.beat_due = due
        self._follow(wanted)

    def _look_for_wishes(self) -> None:
        claims = self._claims()
        if claims:
            self._follow(queue.wishes(self.database, claims))

    def _follow(self, wanted: dict[str, str]) -> None:
        for slot in self.slots:
            want = None if slot.claim is None else wanted.get(slot.claim.job_id)
            if want in STOPS:
                slot.ask(STOPS[want])

    def _free_the_dead(self) -> None:
        """The kernel drops a dead process's lock at once: no need to wait for its leases to run out."""
        for path in self.surroundings.locks.glob("*.lock"):
            if path.stem == self.id:
                continue
            with contextlib.suppress(OSError), path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                queue.free(self.database, path.stem, crashed=True)
                path.unlink(missing_ok=True)

    def _drain(self) -> None:
        self.nudges = None
        for slot in self.slots:
            slot.ask(Wish.RELEASE, DRAIN_SECONDS)
        self.described["draining"] = True
        with self._database_may_be_away():
            workers.drain(self.database, self.id)
        while any(slot.claim is not None and not slot.overdue for slot in self.slots):
            with self._database_may_be_away():
                self._wait()
                if time.monotonic() >= self.beat_due:
                    self._beat()

    def _leave(self) -> None:
        for slot in self.slots:
            slot.kill()
        self.watchdog.stop()
        with contextlib.suppress(SQLAlchemyError):
            queue.free(self.database, self.id, crashed=False)
        self.changes.close()
        self.database.close()
        if self.lock is not None:
            (self.surroundings.locks / f"{self.id}.lock").unlink(missing_ok=True)
            self.lock.close()


def _lock(directory: Path, worker_id: str) -> IO[str]:
    """A file that is locked for as long as this process lives; under its name only once it is locked."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{worker_id}.lock"
    file = path.with_suffix(".new").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    Path(file.name).rename(path)
    return file
