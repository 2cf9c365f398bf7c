"""Training one claimed job from where it stands to its end."""

import contextlib
import errno
import logging
import time
from collections.abc import Callable, Generator
from enum import IntEnum
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.engine import Diverged, Epoch, Finished, LaneLost, Parameters, Progress, Snapshot, train
from app.errors import ChainruleError, DiskFull, LeaseLost, Unavailable
from app.jobs import history, holds, keeping
from app.jobs.history import Ending
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models.records import Trained
from app.storage.away import is_away
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import is_full
from app.worker.journal import Journal
from app.worker.material import Materials, Run
from app.worker.surroundings import Surroundings, limit_memory
from app.worker.tally import Tally

log = logging.getLogger(__name__)

FLUSH_SECONDS, MOST_FLUSH_SECONDS = 0.25, 2.0
WRITE_SHARE = 100
"""Epochs are written after so many times what that took the last time, within these bounds."""

AWAY_SECONDS = 1.0
HELD_UP_SECONDS = 2.0
HELD_UP_ELSEWHERE_SECONDS = 30.0
"""Of a disk that is not ours, as Postgres's, nobody can say how full it is: the job itself tries again."""
SNAPSHOT_SHARE = 50
"""Writing snapshots takes at most one part in so many of the training time."""


class Wish(IntEnum):
    """What the supervisor wants of a running trainer."""

    GO_ON = 0
    CANCEL = 1
    PAUSE = 2
    RELEASE = 3


WISHES = tuple(Wish)
"""By value: a trainer looks after each epoch, and making a member anew takes a microsecond."""


class Trainer:
    """One claim: trains, records, and brings the job to one end."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        claim: Claim,
        surroundings: Surroundings,
        wish: Callable[[], Wish],
        tally: Tally | None = None,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.claim = claim
        self.patience = surroundings.lease_seconds
        self.snapshot_seconds = surroundings.snapshot_seconds
        self.disk = surroundings.disk()
        self.memory_bytes = surroundings.memory_bytes
        self.wish = wish
        self.tally = tally or Tally()
        self.journal = Journal(database, blobs, claim, self.patience, self.tally)
        self.epochs = 0  # in the job's history, written or about to be
        self.snapshot_cost = 0.0

    def run(self, materials: Materials) -> str:
        """Train the job; return ``finished``, ``released`` or ``lost``. LaneLost ends the process."""
        try:
            with limit_memory(self.memory_bytes):
                return self._train(materials.load(self.claim))
        except LeaseLost:
            return "lost"
        except LaneLost:
            raise  # a part of this process is dead, and the supervisor knows what to do when all of it is
        except MemoryError:
            return self._out_of_memory()
        except (SQLAlchemyError, OSError, DiskFull) as error:
            return self._interrupted(error)
        except Unavailable:  # as when a snapshot goes while it is read, because another has the job by now
            log.exception("job %s waits: something that it needs went away", self.claim.job_id)
            time.sleep(AWAY_SECONDS)
            return "released"
        except ChainruleError as error:
            return self._fail(error.code, error.detail)
        except Exception:
            return self._unexpected()

    def _interrupted(self, error: Exception) -> str:
        """Give the job back where the database or the disk is at fault."""
        if is_full(error):
            return self._hold_up()
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return self._out_of_memory()
        if isinstance(error, SQLAlchemyError) and not is_away(error):
            return self._unexpected()
        log.exception("job %s waits: the database or the disk is away", self.claim.job_id)
        time.sleep(AWAY_SECONDS)
        return "released"

    def _out_of_memory(self) -> str:
        message = f"The job needs more memory than this worker gives one: {self.memory_bytes} bytes."
        return self._fail("out_of_memory", message)

    def _unexpected(self) -> str:
        log.exception("job %s failed", self.claim.job_id)
        return self._fail("internal_error", "The trainer met an unexpected condition.")

    def _train(self, run: Run) -> str:
        self.epochs = self.journal.recorded = run.epochs_recorded()
        self.journal.facts = run.facts()
        if run.moved:
            self._say_that_it_moved(run)
        try:
            return self._follow(run, train(run.snapshot, run.data, run.plan, run.job.training["threads"]))
        except Diverged as diverged:
            return self._diverge(run, diverged)

    def _follow(self, run: Run, reports: Generator[Progress | Epoch | Finished, None, None]) -> str:
        now, journal = time.monotonic, self.journal
        snapshot_due, flush_due = now() + self.snapshot_seconds, now() + FLUSH_SECONDS
        pause = FLUSH_SECONDS
        is_kept = keeping.chooser(run.job.training.get("keep_epochs", "last"))
        with contextlib.closing(reports):
            for report in reports:
                if isinstance(report, Finished):
                    return self._succeed(run, report)
                if isinstance(report, Epoch):
                    journal.note(report)
                    if report.epoch > self.epochs:
                        self.epochs = report.epoch
                    if is_kept(report.epoch):
                        self._need_room()
                        journal.take(report.snapshot(), kept=True)
                wish, moment = self.wish(), now()
                if not wish and moment < flush_due and moment < snapshot_due and not journal.is_heavy:
                    continue  # as after nearly every epoch, and a small one takes a few microseconds
                if wish in (Wish.CANCEL, Wish.PAUSE):
                    return self._stop(run, report.snapshot(), keep=wish == Wish.PAUSE)
                self._need_room()
                if wish == Wish.RELEASE or moment >= snapshot_due:
                    self._write_snapshot(report)
                    snapshot_due = now() + self._snapshot_pause()
                else:
                    if not journal.is_empty:
                        journal.write()
                    pause = min(max(FLUSH_SECONDS, WRITE_SHARE * (now() - moment)), MOST_FLUSH_SECONDS)
                flush_due = now() + pause
                if flush_due + pause / 2 > snapshot_due:
                    flush_due = snapshot_due  # which writes the epochs, too
                if wish == Wish.RELEASE:
                    return "released"
        raise AssertionError("training ended without an end")

    def _need_room(self) -> None:
        """Raise DiskFull where the reserve is reached."""
        if self.database.is_sqlite:
            self.disk.require()

    def _hold_up(self) -> str:
        """Pause the job until there is room; where even that cannot be written, let its lease run out."""
        seconds = HELD_UP_SECONDS if self.database.is_sqlite else HELD_UP_ELSEWHERE_SECONDS
        message = "The server's disk is full: the job goes on from its last snapshot when there is room."

        def unit(session: Session) -> None:
            self.database.announce(session)
            holds.pause(session, self.claim, message, seconds)

        try:
            self.database.patiently(unit, self.patience, urgent=True)
        except LeaseLost:
            return "lost"
        except SQLAlchemyError:
            log.warning("job %s waits: there is no room even to say so", self.claim.job_id)
            time.sleep(AWAY_SECONDS)
            return "released"
        self.tally.held_up += 1
        return "finished"

    def _say_that_it_moved(self, run: Run) -> None:
        def unit(session: Session) -> None:
            self.database.announce(session)
            history.move(session, self.claim, run.fingerprint)

        self.database.patiently(unit, self.patience)

    def _snapshot_pause(self) -> float:
        return max(self.snapshot_seconds, SNAPSHOT_SHARE * self.snapshot_cost)

    def _write_snapshot(self, report: Epoch | Progress) -> None:
        start = time.monotonic()
        self.journal.take(report.snapshot())
        self.journal.write()
        self.snapshot_cost = time.monotonic() - start

    def _succeed(self, run: Run, finished: Finished) -> str:
        result = {
            "epochs": self.epochs,
            "cost": finished.cost,
            "data_cost": finished.data_cost,
            "validation_cost": finished.validation_cost,
            "best_epoch": finished.best_epoch,
            "stop_reason": finished.stop_reason,
            "metrics": run.measure(finished.parameters),
        }
        stopping = run.plan.early_stopping
        restored = stopping is not None and stopping.restore_best_weights
        epoch = finished.best_epoch if restored and finished.best_epoch else self.epochs
        self.journal.take(finished.snapshot(), kept=True)
        return self._finish(run, State.SUCCEEDED, finished.parameters, epoch, result)

    def _stop(self, run: Run, snapshot: Snapshot, *, keep: bool) -> str:
        """Leave a model, and with ``keep`` a snapshot to go on from; the job's row says what comes of it."""
        if keep:
            self.journal.take(snapshot)
        quick = run.is_quick_to_measure()  # else nobody would be heard in time
        costs = {"cost": None, "data_cost": None, "validation_cost": None}
        result = {
            "epochs": self.epochs,
            **(run.costs(snapshot.parameters) if quick else costs),
            "best_epoch": snapshot.best.epoch,
            "stop_reason": "cancelled",
            "metrics": run.measure(snapshot.parameters) if quick else None,
        }
        return self._finish(run, None, snapshot.parameters, snapshot.epoch, result)

    def _finish(
        self,
        run: Run,
        state: State | None,
        parameters: Parameters,
        epoch: int,
        result: dict[str, Any],
    ) -> str:
        staged, encoding = self.journal.stage(parameters), run.encoding.to_json()
        self.journal.write(Ending(state, result, model=Trained(run.job, parameters, staged, encoding, epoch)))
        return "finished"

    def _diverge(self, run: Run, diverged: Diverged) -> str:
        self.journal.note(diverged.row)
        result = {"epochs": diverged.epoch, "cost": None, "stop_reason": "diverged", "metrics": None}
        has_rate = "learning_rate" in run.job.training["optimizer"]
        error = {
            "code": "diverged",
            "message": f"The cost of epoch {diverged.epoch} is not finite.",
            "param": "training.optimizer.learning_rate" if has_rate else "training.optimizer",
            "hint": f"{'Lower the learning rate' if has_rate else 'Use adam'}, or standardize the features.",
        }
        self.journal.write(Ending(State.FAILED, result, error))
        return "finished"

    def _fail(self, code: str, message: str) -> str:
        self.journal.discard()  # it may be what cannot be written
        error = {"code": code, "message": message, "param": None, "hint": None}
        try:
            self.journal.write(Ending(State.FAILED, None, error))
        except LeaseLost:
            return "lost"
        except SQLAlchemyError:
            return "released"  # it fails the next time, too
        return "finished"
