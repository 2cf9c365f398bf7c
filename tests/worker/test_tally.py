"""What a worker says that it has done, over trainers that come and go."""

import multiprocessing

import pytest
import sqlalchemy as sa

from app.jobs import queue
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.service_tables import Worker
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.tally import Tally, total
from app.worker.trainer import Trainer, Wish
from tests.support.rows import TRAINING, add_job, job_row

_spawn = multiprocessing.get_context("spawn")


def count_up(tally: Tally) -> None:
    tally.epochs += 2**40 + 1


def test_one_process_counts_and_another_reads() -> None:
    tally: Tally = _spawn.RawValue(Tally)
    child = _spawn.Process(target=count_up, args=(tally,))
    child.start()
    child.join()
    other = Tally(epochs=5, failed=1)
    assert total([tally, other])["epochs"] == 2**40 + 6
    assert total([tally, other])["failed"] == 1


def test_a_trainer_counts_what_it_writes_and_nothing_twice(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings
) -> None:
    job_id = add_job(database, training={**TRAINING, "epochs": 40, "batch_size": 1})
    tally = Tally()
    wishes = iter([Wish.GO_ON] * 20 + [Wish.RELEASE])
    (claim,) = queue.claim(database, "wrk_a", 1, 10.0)
    first = Trainer(database, blobs, claim, surroundings, lambda: next(wishes), tally)
    assert first.run(materials) == "released"
    written = job_row(database, job_id).epochs_completed
    assert 0 < written < 40
    assert (tally.epochs, tally.succeeded) == (written, 0)
    assert tally.snapshots >= 1
    assert tally.snapshot_seconds > 0
    queue.release(database, claim, crashed=False)
    (again,) = queue.claim(database, "wrk_a", 1, 10.0)
    assert again.recovered
    assert (
        Trainer(database, blobs, again, surroundings, lambda: Wish.GO_ON, tally).run(materials) == "finished"
    )
    assert (tally.epochs, tally.succeeded, tally.failed) == (40, 1, 0)


@pytest.mark.parametrize("wish", [Wish.CANCEL, Wish.PAUSE])
def test_a_stop_that_was_asked_for_is_counted(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings, wish: Wish
) -> None:
    add_job(database, training={**TRAINING, "epochs": 4000})
    tally = Tally()
    (claim,) = queue.claim(database, "wrk_a", 1, 10.0)
    Trainer(database, blobs, claim, surroundings, lambda: wish, tally).run(materials)
    assert (tally.stopped, tally.succeeded) == (1, 0)


def test_a_beat_tells_it_to_everybody(database: Database) -> None:
    described = {"host": "h", "pid": 1, "slots": 1, "started_at": now()}
    for counts in ({"epochs": 3.0}, {"epochs": 9.0}):
        queue.heartbeat(database, "wrk_a", [], 10.0, described, counts)
        with database.reading() as session:
            assert session.scalar(sa.select(Worker.counts)) == counts
