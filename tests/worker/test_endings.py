"""Cancelled jobs whose trainer is gone: each is ended, whatever has become of its snapshot."""

from app.jobs import actions, history, queue
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.worker import endings
from tests.support.rows import add_job, job_row, principal


def cancelled(database: Database, blobs: Blobs, snapshot: bytes | None) -> Claim:
    """A job that was cancelled, and whose worker then died."""
    job_id = add_job(database)
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    with database.writing() as session:
        place = None if snapshot is None else Place(0, 5, blobs.stage(snapshot), "f" * 64)
        history.record(session, blobs, taken, places=[] if place is None else [place])
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, job_id, "cancel")
    queue.free(database, "wrk_a", crashed=True)
    (mine,) = queue.lapsed_stops(database, "wrk_b")
    return mine


def test_without_a_snapshot_there_is_no_model(database: Database, blobs: Blobs) -> None:
    claim = cancelled(database, blobs, None)
    endings.stop(database, blobs, claim, 1.0)
    row = job_row(database, claim.job_id)
    assert (row.status, row.model_id, row.lease_until) == ("cancelled", None, 0.0)


def test_a_snapshot_that_cannot_be_read_ends_its_own_job_only(database: Database, blobs: Blobs) -> None:
    claim = cancelled(database, blobs, b"not a snapshot at all")
    endings.stop(database, blobs, claim, 1.0)
    row = job_row(database, claim.job_id)
    assert (row.status, row.model_id) == ("cancelled", None)
    endings.stop(database, blobs, claim, 1.0)  # somebody else was quicker: nothing to do
