"""What a worker writes: all of it, once, and only while its fence is current."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import LeaseLost
from app.jobs import history, ledger, queue
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.models.records import Trained
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Blob, Epoch, Event, Job, Model, Snapshot
from tests.support.rows import add_job, count, epoch, event_types, expire, job_row, parameters


@pytest.fixture
def claim(database: Database) -> Claim:
    add_job(database)
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    return taken


def record(database: Database, blobs: Blobs, claim: Claim, *rows: int, **more: Any) -> list[str]:
    with database.writing() as session:
        return history.record(session, blobs, claim, [epoch(claim.job_id, row) for row in rows], **more)


def end(**ending: Any) -> dict[str, Any]:
    return {"end": Ending(**ending)}


def epochs(database: Database, claim: Claim) -> list[int]:
    with database.reading() as session:
        statement = sa.select(Epoch.epoch).where(Epoch.job_id == claim.job_id).order_by(Epoch.epoch)
        return list(session.scalars(statement))


def test_epochs_are_written_with_their_events(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, 1, 2, 3)
    record(database, blobs, claim, 4)
    assert epochs(database, claim) == [1, 2, 3, 4]
    assert job_row(database, claim.job_id).epochs_completed == 4
    assert event_types(database, claim.job_id) == ["job.queued", "job.started", "job.epoch", "job.epoch"]


def test_epochs_that_are_there_are_not_written_again(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, 1, 2, 3)
    record(database, blobs, claim, 2, 3, 4)
    assert epochs(database, claim) == [1, 2, 3, 4]
    assert event_types(database, claim.job_id).count("job.epoch") == 2
    assert "job.warning" not in event_types(database, claim.job_id)
    record(database, blobs, claim, 1)
    assert job_row(database, claim.job_id).epochs_completed == 4


def test_an_epoch_that_differs_is_said_aloud_and_kept(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, 1)
    with database.writing() as session:
        history.record(session, blobs, claim, [epoch(claim.job_id, 1, cost=0.75)])
    assert event_types(database, claim.job_id)[-1] == "job.warning"
    with database.reading() as session:
        assert session.get_one(Epoch, (claim.job_id, 1)).cost == 0.5


def test_a_stale_fence_writes_nothing(database: Database, blobs: Blobs, claim: Claim) -> None:
    expire(database, claim.job_id)
    (fresh,) = queue.claim(database, "wrk_b", 1, 30.0)
    before = event_types(database, claim.job_id)
    staged = blobs.stage(b"snapshot")
    writes: list[dict[str, Any]] = [
        {},
        {"places": [Place(1, 0, staged, "e" * 64)]},
        end(state=State.SUCCEEDED, result={"epochs": 1}),
        end(state=State.FAILED, error={"code": "x", "message": "y"}),
    ]
    for more in writes:
        with pytest.raises(LeaseLost):
            record(database, blobs, claim, 1, **more)
    assert epochs(database, claim) == []
    assert event_types(database, claim.job_id) == before
    row = job_row(database, claim.job_id)
    assert (row.status, row.fence, row.worker_id) == ("running", fresh.fence, "wrk_b")
    with database.reading() as session:
        assert count(session, Snapshot, claim.job_id) == 0
        assert session.get(Blob, staged.sha256) is None


def test_an_ended_job_is_not_written_to(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, 1, **end(state=State.SUCCEEDED, result={"epochs": 1}))
    for more in ({}, end(state=State.FAILED, error={"code": "x", "message": "y"})):
        with pytest.raises(LeaseLost):
            record(database, blobs, claim, 2, **more)
    assert job_row(database, claim.job_id).status == "succeeded"
    assert event_types(database, claim.job_id)[-1] == "job.succeeded"


def test_a_failed_transaction_leaves_nothing(database: Database, blobs: Blobs, claim: Claim) -> None:
    before = event_types(database, claim.job_id)
    with database.writing() as session:
        history.record(
            session, blobs, claim, [epoch(claim.job_id, 1)], [Place(1, 0, blobs.stage(b"s"), "c" * 64)]
        )
        session.rollback()
    assert (epochs(database, claim), event_types(database, claim.job_id)) == ([], before)


def test_a_new_snapshot_replaces_the_old_one(database: Database, blobs: Blobs, claim: Claim) -> None:
    with database.writing() as session:
        session.execute(sa.update(Job).values(crashes=2))
    first, second = blobs.stage(b"first"), blobs.stage(b"second")
    assert record(database, blobs, claim, places=[Place(0, 5, first, "a" * 64)]) == []
    assert record(database, blobs, claim, 1, places=[Place(1, 0, second, "b" * 64)]) == [first.sha256]
    assert record(database, blobs, claim, places=[Place(1, 0, second, "b" * 64)]) == []
    with database.reading() as session:
        kept = ledger.newest(session, claim.job_id)
        assert kept is not None
        assert kept.content is not None
        assert (kept.number, kept.epoch, kept.step, kept.content) == (2, 1, 0, second.sha256)
        assert session.get(Blob, first.sha256) is None
        assert blobs.read(session, kept.content) == b"second"
    assert job_row(database, claim.job_id).crashes == 0  # it got further


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED])
def test_an_end_leaves_a_model_and_the_last_snapshot(
    database: Database, blobs: Blobs, claim: Claim, state: State
) -> None:
    record(database, blobs, claim, places=[Place(0, 5, blobs.stage(b"snapshot"), "d" * 64)])
    left = parameters()
    job = job_row(database, claim.job_id)
    with database.writing() as session:  # while it ran, somebody gave the job a name
        session.execute(sa.update(Job).where(Job.id == claim.job_id).values(name="late"))
    model = Trained(job, left, records.stage(blobs, left), {}, 1)
    more = end(state=state, result={"epochs": 1, "cost": 0.5}, model=model)
    record(database, blobs, claim, 1, **more)
    row = job_row(database, claim.job_id)
    assert (row.status, row.worker_id, row.lease_until) == (state, None, 0.0)
    with database.reading() as session:
        made = session.get_one(Model, row.model_id)
        assert (made.job_id, made.sha256, made.epoch) == (claim.job_id, left.sha256(), 1)
        assert made.name == "late"
        last = ledger.newest(session, claim.job_id)
        assert last is not None
        assert (last.epoch, last.step) == (0, 5)


def test_a_failed_job_keeps_its_last_snapshot(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, places=[Place(0, 5, blobs.stage(b"snapshot"), "d" * 64)])
    error = {"code": "diverged", "message": "The cost is not finite."}
    record(database, blobs, claim, 1, **end(state=State.FAILED, error=error))
    row = job_row(database, claim.job_id)
    assert (row.status, row.error, row.model_id) == ("failed", error, None)
    with database.reading() as session:
        assert count(session, Snapshot, claim.job_id) == 1


HERE = {"numpy": "2.4.6", "blas": "scipy-openblas 0.3.31", "instructions": ["AVX2"]}


def move(database: Database, claim: Claim, fingerprint: dict[str, Any]) -> None:
    with database.writing() as session:
        history.move(session, claim, fingerprint)


def test_a_job_that_goes_on_elsewhere_says_so_once(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, 1, fingerprint=HERE)
    move(database, claim, HERE)
    assert job_row(database, claim.job_id).warnings == []
    for _ in range(2):
        move(database, claim, {**HERE, "numpy": "2.5.0", "instructions": ["AVX512F"]})
    job = job_row(database, claim.job_id)
    (warning,) = job.warnings
    assert (warning["code"], warning["param"]) == ("fingerprint_differs", "fingerprint")
    assert all(word in warning["message"] for word in ("numpy", "2.4.6", "2.5.0", "AVX512F"))
    assert "blas" not in warning["message"]
    assert job.fingerprint == {**HERE, "numpy": "2.5.0", "instructions": ["AVX512F"]}
    assert event_types(database, claim.job_id)[-2:] == ["job.epoch", "job.warning"]
    with database.reading() as session:
        told = session.scalars(sa.select(Event).where(Event.type == "job.warning")).one()
    assert (told.level, told.data["numpy"]) == ("warning", {"before": "2.4.6", "now": "2.5.0"})


def test_one_who_lost_the_lease_says_nothing_of_where_it_is(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    record(database, blobs, claim, 1, fingerprint=HERE)
    expire(database, claim.job_id)
    queue.claim(database, "wrk_b", 1, 30.0)
    with pytest.raises(LeaseLost):
        move(database, claim, {"numpy": "2.5.0"})
    assert job_row(database, claim.job_id).warnings == []
