"""The chain of a job's snapshots: which stay, what is written twice, and whether it is whole."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import LeaseLost
from app.jobs import history, ledger, queue, service
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.models.records import Trained
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Blob, Epoch, Event, Job, Model, Snapshot
from tests.support.rows import add_job, epoch, event_types, job_row, parameters, principal


@pytest.fixture
def claim(database: Database) -> Claim:
    add_job(database)
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    return taken


def place(blobs: Blobs, epoch: int, step: int = 0, *, kept: bool = False, sha256: str = "") -> Place:
    content = blobs.stage(f"state after {epoch} and {step}, as {sha256}".encode())
    return Place(epoch, step, content, sha256 or f"{epoch}-{step}", kept)


def record(database: Database, blobs: Blobs, claim: Claim, *places: Place, **more: Any) -> list[str]:
    with database.writing() as session:
        return history.record(session, blobs, claim, places=places, **more)


def ledger_of(database: Database, claim: Claim) -> list[tuple[int, int, int, bool, bool]]:
    """Number, epoch, step, whether it is kept, and whether its content is there."""
    with database.reading() as session:
        found = sa.select(Snapshot).where(Snapshot.job_id == claim.job_id).order_by(Snapshot.number)
        rows = session.scalars(found).all()
        for row in rows:
            if row.content is not None:
                expected = f"state after {row.epoch} and {row.step}, as "
                assert (session.get_one(Blob, row.content).data or b"").startswith(expected.encode())
        assert len(rows) == session.get_one(Job, claim.job_id).snapshot_count
        return [(row.number, row.epoch, row.step, row.kept, row.content is not None) for row in rows]


def verified(database: Database, claim: Claim) -> int | None:
    with database.reading() as session:
        return ledger.verify(session, claim.job_id)


def test_those_that_are_kept_stay_and_the_others_go_with_the_next(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    record(database, blobs, claim, place(blobs, 0, 7))
    record(database, blobs, claim, place(blobs, 1, kept=True), place(blobs, 2, kept=True), place(blobs, 3, 4))
    assert ledger_of(database, claim) == [
        (1, 0, 7, False, False),
        (2, 1, 0, True, True),
        (3, 2, 0, True, True),
        (4, 3, 4, False, True),
    ]
    gone = record(database, blobs, claim, place(blobs, 3, 9), place(blobs, 4, kept=True))
    assert gone == [place(blobs, 3, 4).content.sha256]
    assert ledger_of(database, claim)[3:] == [
        (4, 3, 4, False, False),
        (5, 3, 9, False, False),  # nobody would ever go on from it
        (6, 4, 0, True, True),
    ]
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Blob)) == 3
        newest = ledger.newest(session, claim.job_id)
        assert newest is not None
        assert newest.number == 6
    assert verified(database, claim) is None


def test_events_carry_the_hashes(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, place(blobs, 1, kept=True), place(blobs, 1, 3))
    with database.reading() as session:
        told = sa.select(Event.data).where(Event.type == "job.checkpoint").order_by(Event.seq)
        events = session.scalars(told).all()
        rows = session.scalars(sa.select(Snapshot).order_by(Snapshot.number)).all()
    names = ("number", "epoch", "step", "parameters_sha256", "chain_sha256", "kept")
    assert events == [{name: getattr(row, name) for name in names} for row in rows]
    assert len(events) == 2


def everything(database: Database) -> list[Any]:
    tables = (Epoch, Event, Snapshot, Blob, Model, Job)
    with database.reading() as session:
        return [session.execute(sa.select(core(table))).all() for table in tables]


def test_what_a_lost_commit_has_written_is_not_written_again(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    record(database, blobs, claim, place(blobs, 0, 7))
    written: list[list[Any]] = []
    for _ in range(2):
        rows = [epoch(claim.job_id, number) for number in (1, 2, 3)]
        places = place(blobs, 1, kept=True), place(blobs, 2, kept=True), place(blobs, 3, 4)
        record(database, blobs, claim, *places, rows=rows, fingerprint={"numpy": "2.4.6"}, version="1")
        tables = everything(database)
        written.append([tables[:-1], job_row(database, claim.job_id).event_count])
    assert written[0] == written[1]


def test_a_warning_is_not_said_again_either(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, place(blobs, 1, kept=True), rows=[epoch(claim.job_id, 1)])
    for _ in range(2):
        other = place(blobs, 1, kept=True, sha256="other")
        record(database, blobs, claim, other, rows=[epoch(claim.job_id, 1, cost=0.75)])
    assert event_types(database, claim.job_id).count("job.warning") == 2  # the epoch's, and the snapshot's


def test_an_end_that_a_lost_commit_has_written_is_not_written_again(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    left = parameters()
    model = Trained(job_row(database, claim.job_id), left, records.stage(blobs, left), {}, 1)
    end = Ending(State.SUCCEEDED, {"epochs": 1, "cost": 0.5}, model=model)
    rows = [epoch(claim.job_id, 1)]
    record(database, blobs, claim, place(blobs, 1, kept=True), rows=rows, end=end)
    before = everything(database)
    with pytest.raises(LeaseLost):  # and so the trainer lets it go
        record(database, blobs, claim, place(blobs, 1, kept=True), rows=rows, end=end)
    assert everything(database) == before


def test_a_snapshot_that_comes_out_differently_is_said_aloud_and_the_first_stays(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    record(database, blobs, claim, place(blobs, 1, kept=True), place(blobs, 2, 3))
    before = ledger_of(database, claim)
    record(database, blobs, claim, place(blobs, 1, kept=True), place(blobs, 2, 3, sha256="other"))
    assert ledger_of(database, claim) == before
    assert verified(database, claim) is None
    with database.reading() as session:
        warning = session.scalars(sa.select(Event).where(Event.type == "job.warning")).one()
    assert (warning.level, warning.data) == ("warning", {"epoch": 2, "step": 3})
    assert "step 3 behind epoch 2" in warning.message


def test_a_newest_that_is_to_stay_after_all_stays(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, place(blobs, 2))
    record(database, blobs, claim, place(blobs, 2, kept=True), place(blobs, 3))
    record(database, blobs, claim, place(blobs, 4))
    assert ledger_of(database, claim) == [
        (1, 2, 0, True, True),
        (2, 3, 0, False, False),
        (3, 4, 0, False, True),
    ]


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ({"parameters_sha256": "other"}, 2),
        ({"epoch": 7}, 2),
        ({"step": 7}, 2),
        ({"chain_sha256": "0" * 64}, 2),
        ({"number": 9}, 2),
        (None, 2),
    ],
)
def test_a_chain_that_was_tampered_with_is_seen(
    database: Database, blobs: Blobs, claim: Claim, values: dict[str, Any] | None, broken: int
) -> None:
    record(database, blobs, claim, *(place(blobs, number) for number in (1, 2, 3)))
    assert verified(database, claim) is None
    second = sa.and_(Snapshot.job_id == claim.job_id, Snapshot.number == 2)
    with database.writing() as session:
        change = sa.delete(Snapshot) if values is None else sa.update(Snapshot).values(values)
        session.execute(change.where(second))
    assert verified(database, claim) == broken


def test_a_chain_that_was_cut_off_is_seen(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, *(place(blobs, number) for number in (1, 2, 3)))
    with database.writing() as session:
        session.execute(sa.delete(Snapshot).where(Snapshot.number == 3))
    assert verified(database, claim) == 3


def test_deleting_the_job_frees_all(database: Database, blobs: Blobs, claim: Claim) -> None:
    record(database, blobs, claim, *(place(blobs, number, kept=True) for number in (1, 2, 3)))
    record(database, blobs, claim, end=Ending(State.FAILED, error={"code": "x", "message": "y"}))
    owner = principal(database)
    with database.writing() as session:
        service.delete(session, blobs, owner, claim.job_id)
    with database.reading() as session:
        for table in (Snapshot, Blob, Job):
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_a_failed_job_that_goes_on_lets_the_snapshot_go_that_was_not_to_stay(
    database: Database, blobs: Blobs, claim: Claim
) -> None:
    record(database, blobs, claim, place(blobs, 1, kept=True), place(blobs, 1, 5))
    record(database, blobs, claim, end=Ending(State.FAILED, error={"code": "x", "message": "y"}))
    assert ledger_of(database, claim)[1] == (2, 1, 5, False, True)
    with database.writing() as session:
        values = {"status": State.QUEUED, "finished_at": None, "progress_at": now()}
        session.execute(sa.update(Job).values(values))
    (again,) = queue.claim(database, "wrk_b", 1, 30.0)
    record(database, blobs, again, place(blobs, 2, kept=True))
    assert [row[4] for row in ledger_of(database, claim)] == [True, False, True]
