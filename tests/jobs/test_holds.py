import pytest
import sqlalchemy as sa

from app.errors import LeaseLost
from app.jobs import actions, holds, queue
from app.jobs.queue import Claim
from app.jobs.states import Action
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Event, Job
from tests.support.rows import add_job, event_types, job_row, principal


def claimed(database: Database) -> Claim:
    add_job(database)
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    return taken


def pause(database: Database, claim: Claim, seconds: float = -1.0) -> Job:
    with database.writing() as session:
        holds.pause(session, claim, "The disk is full.", seconds)
    return job_row(database, claim.job_id)


def ask(database: Database, blobs: Blobs, job_id: str, action: Action) -> bool:
    who = principal(database)
    with database.writing() as session:
        return actions.ask(session, database, who, job_id, action)


def test_a_job_is_paused_with_a_reason_and_goes_on_by_itself(database: Database) -> None:
    claim = claimed(database)
    job = pause(database, claim)
    assert (job.status, job.worker_id, job.want) == ("paused", None, "run")
    assert job.paused_because == {"code": "disk_full", "message": "The disk is full."}
    with database.reading() as session:
        last = session.scalars(sa.select(Event).order_by(Event.seq.desc())).first()
    assert last is not None
    assert (last.type, last.level, last.message) == ("job.paused", "warning", "The disk is full.")
    assert last.data["paused_because"] == job.paused_because
    with pytest.raises(LeaseLost):
        pause(database, claim)
    assert holds.resume(database) == 1
    job = job_row(database, job.id)
    assert (job.status, job.paused_because, job.lease_until) == ("queued", None, 0.0)
    assert event_types(database, job.id)[-2:] == ["job.paused", "job.resumed"]
    assert holds.resume(database) == 0


def test_it_is_not_looked_at_again_at_once(database: Database) -> None:
    pause(database, claimed(database), seconds=60.0)
    assert holds.resume(database) == 0


def test_a_worker_that_lost_its_job_pauses_nothing(database: Database) -> None:
    claim = claimed(database)
    with pytest.raises(LeaseLost):
        pause(database, Claim(claim.job_id, claim.fence - 1))
    assert job_row(database, claim.job_id).status == "running"


def test_what_a_client_pauses_stays_paused(database: Database, blobs: Blobs) -> None:
    mine = pause(database, claimed(database))
    assert not ask(database, blobs, mine.id, "pause")  # it is paused: now for the client, too
    while_it_ran = claimed(database)
    ask(database, blobs, while_it_ran.job_id, "pause")
    job = pause(database, while_it_ran)
    assert (job.status, job.paused_because) == ("paused", None)
    assert event_types(database, job.id)[-2:] == ["job.pausing", "job.paused"]
    assert holds.resume(database) == 0
    assert job_row(database, mine.id).status == "paused"


def test_one_that_is_to_go_on_at_once_waits_for_room(database: Database, blobs: Blobs) -> None:
    claim = claimed(database)
    ask(database, blobs, claim.job_id, "pause")
    ask(database, blobs, claim.job_id, "resume")
    job = pause(database, claim)
    assert job.paused_because is not None
    assert holds.resume(database) == 1


def test_a_client_resumes_it_whenever_it_likes(database: Database, blobs: Blobs) -> None:
    job = pause(database, claimed(database), seconds=60.0)
    assert ask(database, blobs, job.id, "resume")
    (again,) = queue.claim(database, "wrk_a", 1, 30.0)
    assert again.job_id == job.id


def test_one_that_is_to_be_cancelled_is_given_to_whoever_can(database: Database, blobs: Blobs) -> None:
    claim = claimed(database)
    ask(database, blobs, claim.job_id, "cancel")
    job = pause(database, claim)
    assert (job.status, job.worker_id, job.lease_until) == ("cancelling", None, 0.0)
    assert [each.job_id for each in queue.lapsed_stops(database, "wrk_b")] == [job.id]
