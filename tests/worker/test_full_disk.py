"""A trainer whose database, or whose disk, takes nothing more."""

import errno
import itertools
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.jobs import actions, history, holds, ledger, queue
from app.jobs.queue import Claim
from app.jobs.states import Action
from app.models import records
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job
from app.worker import endings, trainer
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.trainer import Trainer, Wish
from tests.support.rows import TRAINING, add_job, event_types, job_row, principal


def claimed(database: Database) -> Claim:
    add_job(database, training={**TRAINING, "epochs": 300, "batch_size": 1})
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    return taken


def run(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings
) -> tuple[str, Job]:
    claim = claimed(database)
    word = Trainer(database, blobs, claim, surroundings, lambda: Wish.GO_ON).run(materials)
    return word, job_row(database, claim.job_id)


FULL = {
    "postgres": OperationalError("", None, psycopg.errors.DiskFull("could not extend file")),
    "disk": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
}


@pytest.mark.parametrize("error", FULL.values(), ids=FULL.keys())
def test_it_pauses_its_job_with_a_reason_and_the_job_goes_on_later(
    error: Exception,
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = history.record, []

    def record(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return real(*arguments, **more)

    monkeypatch.setattr(history, "record", record)
    word, job = run(database, blobs, materials, surroundings)
    assert (word, job.status, job.worker_id) == ("finished", "paused", None)
    assert job.paused_because is not None
    assert job.paused_because["code"] == "disk_full"
    assert event_types(database, job.id)[-1] == "job.paused"
    monkeypatch.undo()
    assert holds.resume(database) == 0  # not yet
    with database.writing() as session:
        session.execute(sa.update(Job).values(lease_until=1.0))
    assert holds.resume(database) == 1
    (again,) = queue.claim(database, "wrk_b", 1, 30.0)
    assert Trainer(database, blobs, again, surroundings, lambda: Wish.GO_ON).run(materials) == "finished"
    row = job_row(database, job.id)
    assert (row.status, row.crashes, row.paused_because) == ("succeeded", 0, None)


def test_where_not_even_that_can_be_written_the_lease_runs_out(
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise FULL["postgres"]

    monkeypatch.setattr(history, "record", nothing)
    monkeypatch.setattr(holds, "pause", nothing)
    monkeypatch.setattr(trainer, "AWAY_SECONDS", 0.0)
    word, job = run(database, blobs, materials, surroundings)
    assert (word, job.status, job.paused_because) == ("released", "running", None)


def test_a_failure_that_cannot_be_written_leaves_the_trainer_alive(
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: Claim) -> Any:
        raise ValueError("something else")

    def nothing(*_: Any, **__: Any) -> Any:
        raise FULL["postgres"]

    monkeypatch.setattr(history, "record", nothing)
    monkeypatch.setattr(materials, "load", fails)
    assert run(database, blobs, materials, surroundings)[0] == "released"


def test_a_reserve_that_is_touched_pauses_the_job_of_a_disk_of_ours(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings
) -> None:
    scarce = replace(surroundings, disk_reserve_bytes=2**60)
    word, job = run(database, blobs, materials, scarce)
    assert (word, job.status) == ("finished", "paused" if database.is_sqlite else "succeeded")


def stopping(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings, action: Action
) -> Claim:
    """A job that has a snapshot, was asked to stop, and lost its worker."""
    claim = claimed(database)
    words = itertools.chain([Wish.GO_ON] * 40, itertools.repeat(Wish.RELEASE))
    assert Trainer(database, blobs, claim, surroundings, lambda: next(words)).run(materials) == "released"
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, claim.job_id, action)
    queue.free(database, "wrk_a", crashed=False)
    (mine,) = queue.lapsed_stops(database, "wrk_b")
    return mine


def nothing_is_kept(*_: object) -> None:
    raise FULL["disk"]


def test_one_that_is_cancelled_keeps_all_that_it_has_until_there_is_room_for_its_model(
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = stopping(database, blobs, materials, surroundings, "cancel")
    with monkeypatch.context() as full:
        full.setattr(records, "stage", nothing_is_kept)
        with pytest.raises(OSError, match="No space left"):
            endings.stop(database, blobs, claim, 1.0)
        assert job_row(database, claim.job_id).status == "cancelling"

        def relieve() -> bool:  # the ballast is enough
            full.undo()
            return True

        database.relieve = relieve
        endings.stop(database, blobs, claim, 1.0)
    row = job_row(database, claim.job_id)
    assert row.status == "cancelled"
    assert row.model_id is not None


def test_one_that_is_paused_keeps_its_snapshot_instead_of_a_model(
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = stopping(database, blobs, materials, surroundings, "pause")
    monkeypatch.setattr(records, "stage", nothing_is_kept)
    endings.stop(database, blobs, claim, 1.0)
    row = job_row(database, claim.job_id)
    assert (row.status, row.model_id, row.paused_because) == ("paused", None, None)
    with database.reading() as session:
        assert ledger.newest(session, row.id) is not None
