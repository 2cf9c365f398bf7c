"""What a trainer keeps: the snapshots of the epochs that were named, and the last state, however it ends."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import history, keeping, ledger, queue, snapshots
from app.jobs.queue import Claim
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job, Model, Snapshot
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.trainer import Trainer, Wish
from tests.support.rows import TRAINING, add_job, event_types, job_row

STOPPING = {
    "monitor": "cost",
    "min_delta": 1e9,
    "patience": 5,
    "restore_best_weights": True,
    "start_from_epoch": 0,
}


class Desk:
    """A job, and trainers for it; snapshots are taken no more often than every hour."""

    def __init__(self, database: Database, blobs: Blobs, materials: Materials, around: Surroundings) -> None:
        self.database, self.blobs, self.materials = database, blobs, materials
        self.around = replace(around, snapshot_seconds=3600.0)

    def submit(self, **training: Any) -> Claim:
        add_job(self.database, training={**TRAINING, "epochs": 11, "batch_size": 1, **training})
        return self.claim()

    def claim(self) -> Claim:
        (taken,) = queue.claim(self.database, "wrk_a", 1, 30.0)
        return taken

    def run(self, claim: Claim, wish: Callable[[], Wish] = lambda: Wish.GO_ON) -> str:
        return Trainer(self.database, self.blobs, claim, self.around, wish).run(self.materials)

    def kept(self, claim: Claim) -> list[tuple[int, int]]:
        """Epoch and step of the snapshots that are there; each can be gone on from."""
        job = job_row(self.database, claim.job_id)
        plan = snapshots.plan_of(job, 5)
        with self.database.reading() as session:
            assert ledger.verify(session, job.id) is None
            there = sa.select(Snapshot).where(Snapshot.job_id == job.id, Snapshot.content.is_not(None))
            rows = session.scalars(there.order_by(Snapshot.number)).all()
            for row in rows:
                assert row.content is not None
                state = snapshots.load(plan, self.blobs.read(session, row.content))
                assert (state.epoch, state.step) == (row.epoch, row.step)
                assert state.parameters.sha256() == row.parameters_sha256
        return [(row.epoch, row.step) for row in rows]


@pytest.fixture
def desk(database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings) -> Desk:
    return Desk(database, blobs, materials, surroundings)


@pytest.mark.parametrize(
    ("keep", "epochs"),
    [
        ("powers_of_two", [1, 2, 4, 8, 11]),
        ("all", list(range(1, 12))),
        ("last", [11]),
        ([3, 5], [3, 5, 11]),
        ([11], [11]),
    ],
)
def test_the_epochs_that_were_named_stay_and_the_last(desk: Desk, keep: Any, epochs: list[int]) -> None:
    claim = desk.submit(keep_epochs=keep)
    assert desk.run(claim) == "finished"
    assert job_row(desk.database, claim.job_id).status == "succeeded"
    assert desk.kept(claim) == [(epoch, 0) for epoch in epochs]


def test_a_job_of_before_keeps_its_last(desk: Desk) -> None:
    claim = desk.submit()
    with desk.database.writing() as session:
        old = {name: value for name, value in TRAINING.items() if name != "keep_epochs"}
        session.execute(sa.update(Job).values(training={**old, "epochs": 3}))
    assert desk.run(claim) == "finished"
    assert desk.kept(claim) == [(3, 0)]


def test_in_a_burst_of_epochs_too(desk: Desk) -> None:
    claim = desk.submit(batch_size="full", epochs=40)
    assert desk.run(claim) == "finished"
    assert desk.kept(claim) == [(epoch, 0) for epoch in (1, 2, 4, 8, 16, 32, 40)]


def test_the_last_is_the_state_it_ended_in_and_not_the_best(desk: Desk) -> None:
    claim = desk.submit(early_stopping=STOPPING)
    assert desk.run(claim) == "finished"
    assert desk.kept(claim) == [(1, 0), (2, 0), (4, 0), (6, 0)]
    with desk.database.reading() as session:
        model = session.scalars(sa.select(Model)).one()
        first = session.scalars(sa.select(Snapshot).where(Snapshot.epoch == 1)).one()
        last = session.scalars(sa.select(Snapshot).where(Snapshot.epoch == 6)).one()
    assert model.sha256 == first.parameters_sha256 != last.parameters_sha256


def test_a_job_whose_time_ran_out_keeps_its_last(desk: Desk) -> None:
    claim = desk.submit(time_budget_seconds=1e-9, keep_epochs="last")
    assert desk.run(claim) == "finished"
    assert desk.kept(claim) == [(1, 0)]


def stopping(desk: Desk, claim: Claim, wish: Wish, status: str) -> Callable[[], Wish]:
    """Is told to stop at the seventh report; the job's row says so before."""
    asked: list[int] = []

    def told() -> Wish:
        asked.append(1)
        if len(asked) != 7:
            return Wish.GO_ON
        with desk.database.writing() as session:
            wanted = {"status": status, "want": "cancel" if wish == Wish.CANCEL else "pause"}
            session.execute(sa.update(Job).where(Job.id == claim.job_id).values(wanted))
        return wish

    return told


def test_a_paused_job_keeps_them_and_goes_on_to_the_same(desk: Desk) -> None:
    whole = desk.submit()
    desk.run(whole)
    claim = desk.submit()
    assert desk.run(claim, stopping(desk, claim, Wish.PAUSE, "pausing")) == "finished"
    assert job_row(desk.database, claim.job_id).status == "paused"
    assert desk.kept(claim) == [(1, 0), (2, 0), (4, 0), (7, 0)]
    with desk.database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == claim.job_id).values(status="queued", want="run"))
    again = desk.claim()
    assert desk.run(again) == "finished"
    assert desk.kept(again) == [(1, 0), (2, 0), (4, 0), (8, 0), (11, 0)]
    with desk.database.reading() as session:
        hashes = [
            session.scalars(
                sa.select(Snapshot.parameters_sha256)
                .where(Snapshot.job_id == each.job_id, Snapshot.kept)
                .order_by(Snapshot.number)
            ).all()
            for each in (whole, again)
        ]
    assert hashes[0] == hashes[1]


def test_a_cancelled_job_keeps_what_it_has(desk: Desk) -> None:
    claim = desk.submit()
    assert desk.run(claim, stopping(desk, claim, Wish.CANCEL, "cancelling")) == "finished"
    assert job_row(desk.database, claim.job_id).status == "cancelled"
    assert desk.kept(claim) == [(1, 0), (2, 0), (4, 0)]


def test_a_diverged_job_keeps_what_it_has(desk: Desk) -> None:
    rate = {"name": "gradient_descent", "learning_rate": 30.0}
    claim = desk.submit(optimizer=rate, standardize=False, epochs=100)
    assert desk.run(claim) == "finished"
    job = job_row(desk.database, claim.job_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "diverged")
    kept = desk.kept(claim)
    assert kept == [(epoch, 0) for epoch in (1, 2, 4, 8, 16, 32, 64) if epoch < job.epochs_completed]
    assert kept


def test_few_bytes_wait_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    real = history.record

    def record(*arguments: Any, **more: Any) -> Any:
        written.append(len(arguments[4]))
        return real(*arguments, **more)

    monkeypatch.setattr(history, "record", record)
    claim = desk.submit(keep_epochs="all", epochs=100)
    desk.run(claim)
    assert len(written) < 20
    size = len(snapshots.dump(desk.materials.load(desk.submit()).snapshot, claim.job_id, 1))
    monkeypatch.setattr(keeping, "MOST_WAITING_BYTES", 3 * size)
    written.clear()
    desk.run(desk.submit(keep_epochs="all", epochs=100))
    assert max(written) <= 4
    assert sum(written) == 100


def test_the_job_says_what_it_is_computed_from(desk: Desk) -> None:
    claim = desk.submit(validation_fraction=0.2)
    desk.run(claim)
    job = job_row(desk.database, claim.job_id)
    split = desk.materials.load(desk.submit(validation_fraction=0.2)).arrays.split
    assert job.split == split.digest()
    assert [part["rows"] for part in (job.split or {}).values()] == [4, 1, 0]
    assert (job.version, (job.fingerprint or {})["engine"]) == ("0.1.0", "1")
    assert "job.warning" not in event_types(desk.database, claim.job_id)
