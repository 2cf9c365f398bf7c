"""Requests, workers and accidents in any order, against a model of what must come of them.

``CHAINRULE_TEST_LIVES`` is the number of lives, ``CHAINRULE_TEST_SEED`` begins another row of them.
"""

import os
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.errors import Conflict, LeaseLost
from app.jobs import queue
from app.jobs.queue import Claim
from app.jobs.states import HELD, STOPPING, TERMINAL, State
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job
from tests.support.lives import ERROR, Life
from tests.support.rows import add_dataset, expire

LIVES = int(os.environ.get("CHAINRULE_TEST_LIVES", "8"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", "0"))

WORKERS = ["wrk_a", "wrk_b"]
ENDINGS = [f"job.{state}" for state in TERMINAL]

ACTIONS = st.sampled_from(["cancel", *(4 * ["pause"]), *(4 * ["resume"]), *(2 * ["retry"])])


class Lives(RuleBasedStateMachine):
    """The job as it must be: ``status``, what it is to come to, and who may write."""

    database: Database
    blobs: Blobs

    @initialize()
    def begin(self) -> None:
        self._submit()

    @precondition(lambda self: self.status in ("succeeded", "cancelled"))
    @rule()
    def begin_anew(self) -> None:
        self._submit()

    def _submit(self) -> None:
        with self.database.writing() as session:  # one that went wrong must not spoil the next
            session.execute(sa.delete(Job))
        self.life = Life(self.database, self.blobs)
        self.status = "queued"
        self.goes_on = False  # while it pauses: as soon as it has stopped
        self.trained = False  # there is a snapshot
        self.left = False  # of which there is a model
        self.crashes = self.retries = self.epochs = self.models = 0
        self.leased = False
        self.stale: list[Claim] = []

    @property
    def held(self) -> bool:
        return self.life.claim is not None

    @precondition(lambda self: self.status not in ("succeeded", "cancelled"))
    @rule(action=ACTIONS)
    def ask(self, action: Any) -> None:
        expected = self._expected(action)
        if expected is None:
            with pytest.raises(Conflict):
                self.life.ask(action)
            return
        status, self.goes_on, changes = expected
        if action == "retry" and changes:
            self.retries, self.crashes = self.retries + 1, 0
        self.status = status
        assert self.life.ask(action) is changes

    def _expected(self, action: str) -> tuple[str, bool, bool] | None:
        """Status, whether it goes straight on, and whether anything changes; None: refused."""
        status, waits_or_runs = self.status, self.status in ("queued", "running")
        alone = status == "paused" or (status == "queued" and (self.left or not self.trained))
        match action:
            case "cancel" if status in ("cancelling", "cancelled"):
                return status, False, False
            case "cancel" if status not in TERMINAL:
                return ("cancelled" if alone else "cancelling"), False, True
            case "pause" if status == "pausing":
                return status, False, self.goes_on
            case "pause" if status == "paused":
                return status, False, False
            case "pause" if waits_or_runs:
                return ("paused" if alone else "pausing"), False, True
            case "resume" if status == "pausing":
                return status, True, not self.goes_on
            case "resume" if status == "paused":
                return "queued", False, True
            case "resume" if waits_or_runs:
                return status, False, False
            case "retry" if status == "failed":
                return "queued", False, True
            case "retry" if waits_or_runs and self.retries:
                return status, False, False
        return None

    @precondition(lambda self: not self.held or not self.leased)
    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        lapsed = not self.leased and self.life.job.worker_id != worker
        taken = queue.claim(self.database, worker, 5, 30.0)
        if self.status == "queued" or (self.status == "running" and lapsed):
            self._now_held(taken)
            self.status = "running"
        else:
            assert taken == []

    @precondition(lambda self: self.status in STOPPING)
    @rule()
    def look_for_what_is_to_stop(self) -> None:
        taken = queue.lapsed_stops(self.database, "wrk_b")
        if self.status in STOPPING and not self.leased:
            self._now_held(taken)
        else:
            assert taken == []

    def _now_held(self, taken: list[Claim]) -> None:
        self._let_go()
        (self.life.claim,) = taken
        assert self.life.claim.job_id == self.life.id
        self.leased = True

    def _let_go(self) -> None:
        if self.life.claim is not None:
            self.stale.append(self.life.claim)
        self.life.claim, self.leased = None, False

    @precondition(lambda self: self.held)
    @rule(snapshot=st.booleans())
    def train(self, snapshot: bool) -> None:
        self.epochs += 1
        if snapshot:
            self.trained, self.left, self.crashes = True, False, 0
        self.life.record(self.epochs, places=[self.life.place()] if snapshot else [])

    @precondition(lambda self: self.held and self.status in STOPPING)
    @rule()
    def stop(self) -> None:
        assert self.life.claim is not None
        told = "cancel" if self.status == "cancelling" else "pause"
        assert queue.wishes(self.database, [self.life.claim]) == {self.life.id: told}
        self.life.stop()
        self.trained, self.crashes = True, 0
        self.left = self.status == "pausing" and not self.goes_on
        if self.status == "cancelling":
            self.status = "cancelled"
        else:
            self.status = "queued" if self.goes_on else "paused"
        self.models += self.status != "queued"
        self.goes_on = False
        self._let_go()

    @precondition(lambda self: self.held)
    @rule(succeeds=st.sampled_from([False, False, True]))
    def end(self, succeeds: bool) -> None:
        self.life.end(State.SUCCEEDED if succeeds else State.FAILED, None if succeeds else ERROR)
        self.status = "succeeded" if succeeds else "failed"
        self.goes_on = False
        self._let_go()

    @precondition(lambda self: self.held)
    @rule(how=st.sampled_from(["trainer", "drain", "supervisor"]))
    def lose(self, how: str) -> None:
        claim = self.life.claim
        assert claim is not None
        if how == "supervisor":
            assert sum(queue.free(self.database, worker, crashed=True) for worker in WORKERS) == 1
        else:
            queue.release(self.database, claim, crashed=how == "trainer")
        self.leased = False
        if self.status == "running":
            self.crashes += how != "drain"
            self.status = "failed" if self.crashes == queue.POISON else "queued"
            self._let_go()

    @precondition(lambda self: self.held)
    @rule()
    def lapse(self) -> None:
        expire(self.database, self.life.id)
        self.leased = False

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def come_back_too_late(self, data: st.DataObject) -> None:
        mine, self.life.claim = self.life.claim, data.draw(st.sampled_from(self.stale))
        before = self.life.events
        for write in (self.life.snapshot, self.life.stop):
            with pytest.raises(LeaseLost):
                write()
        queue.release(self.database, self.life.claim, crashed=True)
        self.life.claim = mine
        assert self.life.events == before

    @invariant()
    def is_as_it_must_be(self) -> None:
        if not hasattr(self, "life"):
            return
        job, log = self.life.job, self.life.events  # numbered without gaps
        assert job.status == self.status
        assert (job.epochs_completed, job.retries, job.crashes) == (self.epochs, self.retries, self.crashes)
        assert log.count("job.epoch") == self.epochs
        assert [each for each in log if each in ENDINGS] == ["job.failed"] * self.retries + (
            [f"job.{self.status}"] if self.status in TERMINAL else []
        )
        assert (job.finished_at is not None) is (self.status in TERMINAL)
        assert job.result is None or self.status in TERMINAL
        assert self.life.has_snapshot() is self.trained
        models = self.life.models()
        assert len(models) == self.models
        assert job.model_id == (models[-1].id if models else None)
        if self.status not in HELD:
            assert (job.worker_id, job.lease_until) == (None, 0.0)

    def teardown(self) -> None:
        """Whatever was going on, it comes to rest where it was asked to, without another word."""
        if not hasattr(self, "life"):
            return
        if self.status in STOPPING:
            self.look_for_what_is_to_stop()
            self.stop()
            self.is_as_it_must_be()
        if self.status not in TERMINAL:
            self.ask("cancel")
        if self.status == "cancelling":
            self.look_for_what_is_to_stop()
            self.stop()
        self.is_as_it_must_be()


def test_every_life_comes_to_its_end(database: Database, blobs: Blobs) -> None:
    add_dataset(database, blobs)
    machine = type("LivesHere", (Lives,), {"database": database, "blobs": blobs})
    chosen = settings(
        max_examples=LIVES,
        stateful_step_count=30,
        phases=[Phase.generate],  # shrinking takes minutes
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    print(f"CHAINRULE_TEST_SEED={SEED} CHAINRULE_TEST_LIVES={LIVES}")
    seed(SEED)(machine)
    run_state_machine_as_test(machine, settings=chosen)
