"""The queue on both databases: who gets which job, and who may still write."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.errors import LeaseLost
from app.jobs import actions, history, queue
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.columns import clock, now
from app.storage.database import Database
from app.storage.tables import Job, Worker
from tests.support.rows import add_job, another_process, event_types, expire, job_row, principal

LEASE = 30.0


def claim(database: Database, slots: int = 1, worker: str = "wrk_a") -> list[Claim]:
    return queue.claim(database, worker, slots, LEASE)


def one(database: Database, worker: str = "wrk_a") -> Claim:
    (taken,) = claim(database, 1, worker)
    return taken


def lease_left(database: Database, job_id: str) -> float:
    with database.reading() as session:
        statement = sa.select(Job.lease_until - clock()).where(Job.id == job_id)
        return float(session.scalar(statement) or 0.0)


def test_an_empty_queue_gives_nothing(database: Database) -> None:
    assert claim(database, 5) == []


def test_a_claim_is_a_lease_with_a_fence(database: Database) -> None:
    job_id = add_job(database)
    assert one(database) == Claim(job_id, 1)
    row = job_row(database, job_id)
    assert (row.status, row.worker_id, row.fence) == ("running", "wrk_a", 1)
    assert row.started_at is not None
    assert LEASE - 5 < lease_left(database, job_id) <= LEASE
    assert event_types(database, job_id) == ["job.queued", "job.started"]
    assert claim(database) == []


def test_priority_then_age(database: Database) -> None:
    jobs = [add_job(database, priority=priority) for priority in (0, 5, -5, 5)]
    order = [each.job_id for each in claim(database, 9)]
    assert order == [jobs[1], jobs[3], jobs[0], jobs[2]]


def test_a_busy_project_lets_others_pass(database: Database) -> None:
    mine = [add_job(database, "many") for _ in range(4)]
    other = add_job(database, "few")
    assert [one(database).job_id for _ in range(3)] == [mine[0], other, mine[1]]


def test_a_busy_project_lets_others_pass_within_one_claim(database: Database) -> None:
    mine = [add_job(database, "many") for _ in range(3)]
    other = add_job(database, "few")
    assert [each.job_id for each in claim(database, 3)] == [mine[0], other, mine[1]]


def test_many_workers_at_once_share_without_overlap(database: Database) -> None:
    jobs = {add_job(database, f"p{i % 3}") for i in range(30)}
    start = threading.Barrier(4)

    def work(name: int) -> list[Claim]:
        start.wait()
        taken: list[Claim] = []
        with another_process(database) as own:
            while found := claim(own, 2, f"wrk_{name}"):
                taken += found
        return taken

    with ThreadPoolExecutor(4) as pool:
        claims = [each for part in pool.map(work, range(4)) for each in part]
    assert len(claims) == len(jobs)
    assert {each.job_id for each in claims} == jobs
    assert {each.fence for each in claims} == {1}


def test_a_heartbeat_renews_only_what_is_still_ours(database: Database) -> None:
    kept, lost = add_job(database), add_job(database)
    claims = claim(database, 2)
    expire(database, kept)
    expire(database, lost)
    assert [each.job_id for each in claim(database, 1, "wrk_b")] == [kept]
    wanted = queue.heartbeat(database, "wrk_a", claims, LEASE)
    assert wanted == {}  # both were requeued, and one has a new owner
    renewed = queue.heartbeat(database, "wrk_b", [Claim(kept, 2)], 100.0)
    assert renewed == {kept: "run"}
    assert lease_left(database, kept) > 90.0


def test_a_lapsed_lease_is_another_workers(database: Database) -> None:
    job_id = add_job(database)
    stale = one(database)
    expire(database, job_id)
    fresh = one(database, "wrk_b")
    assert fresh == Claim(job_id, 2)
    assert job_row(database, job_id).crashes == 0  # a worker's silence is not the job's fault
    assert event_types(database, job_id)[-2:] == ["job.warning", "job.recovered"]
    with pytest.raises(LeaseLost), database.writing() as session:
        queue.hold(session, stale)
    with database.writing() as session:
        assert queue.hold(session, fresh).status == "running"


def test_who_has_lost_the_lease_gives_nothing_back(database: Database) -> None:
    job_id = add_job(database)
    stale = one(database)
    expire(database, job_id)
    fresh = one(database, "wrk_b")
    queue.release(database, stale, crashed=True)
    row = job_row(database, job_id)
    assert (row.status, row.fence, row.crashes) == ("running", fresh.fence, 0)


def test_a_release_is_no_crash(database: Database) -> None:
    job_id = add_job(database)
    for fence in range(1, 6):
        taken = one(database)
        assert taken.fence == fence
        queue.release(database, taken, crashed=False)
    assert (job_row(database, job_id).status, job_row(database, job_id).crashes) == ("queued", 0)
    assert event_types(database, job_id).count("job.started") == 1


def test_poison_fails_after_three_crashes(database: Database) -> None:
    job_id = add_job(database)
    for _ in range(queue.POISON):
        queue.release(database, one(database), crashed=True)
    row = job_row(database, job_id)
    assert row.status == "failed"
    assert row.error is not None
    assert row.error["code"] == "crashed_worker"
    assert row.finished_at is not None
    assert claim(database) == []
    assert event_types(database, job_id)[-1] == "job.failed"


def test_a_dead_workers_jobs_are_free_at_once(database: Database) -> None:
    jobs = [add_job(database) for _ in range(3)]
    claim(database, 2)
    other = one(database, "wrk_b")
    assert queue.free(database, "wrk_a", crashed=True) == 2
    assert job_row(database, other.job_id).status == "running"
    assert {each.job_id for each in claim(database, 3, "wrk_c")} == set(jobs[:2])


def test_freeing_forgets_the_worker(database: Database) -> None:
    with database.writing() as session:
        row = {
            "id": "wrk_a",
            "host": "h",
            "pid": 1,
            "slots": 1,
            "busy": 0,
            "draining": False,
            "seen_at": clock(),
        }
        session.execute(sa.insert(Worker).values(row | {"started_at": now()}))
    assert queue.free(database, "wrk_a", crashed=False) == 0
    with database.reading() as session:
        assert session.get(Worker, "wrk_a") is None


def test_a_wish_reaches_the_worker(database: Database, blobs: Blobs) -> None:
    job_id = add_job(database)
    taken = one(database)
    who = principal(database)
    with database.writing() as session:
        assert actions.ask(session, database, who, job_id, "cancel") is True
    assert queue.heartbeat(database, "wrk_a", [taken], LEASE) == {job_id: "cancel"}
    with database.writing() as session:
        assert actions.ask(session, database, who, job_id, "cancel") is False


def test_a_cancelled_job_without_a_worker_is_ended_once(database: Database, blobs: Blobs) -> None:
    job_id = add_job(database)
    one(database)
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, job_id, "cancel")
    assert queue.free(database, "wrk_a", crashed=True) == 1
    assert claim(database) == []  # never trained again
    assert queue.lapsed_stops(database, "wrk_b") == [Claim(job_id, 2)]
    assert queue.lapsed_stops(database, "wrk_b") == []


def test_a_trainer_that_dies_of_a_cancellation_leaves_its_job_to_be_ended_at_once(
    database: Database, blobs: Blobs
) -> None:
    job_id = add_job(database)
    taken = one(database)
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, job_id, "cancel")
    queue.release(database, taken, crashed=True)
    assert queue.lapsed_stops(database, "wrk_b") == [Claim(job_id, 2)]


def test_a_waiting_job_that_has_trained_is_ended_with_a_model(database: Database, blobs: Blobs) -> None:
    job_id = add_job(database)
    taken = one(database)
    with database.writing() as session:
        history.record(session, blobs, taken, places=[Place(0, 5, blobs.stage(b"snapshot"), "0" * 64)])
    queue.release(database, taken, crashed=True)
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, job_id, "cancel")
    assert job_row(database, job_id).status == "cancelling"
    assert queue.lapsed_stops(database, "wrk_b") == [Claim(job_id, 3)]


def test_a_job_cancelled_during_a_claim_stays_cancelled(database: Database, blobs: Blobs) -> None:
    """The claim has chosen the job, and waits for its row, when the cancellation commits."""
    job_id = add_job(database)
    who = principal(database)
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            actions.ask(session, database, who, job_id, "cancel")
            session.flush()
            racing = pool.submit(claim, database)
            _until_blocked(database)
        assert racing.result(10) == []
    assert job_row(database, job_id).status == "cancelled"
    assert event_types(database, job_id) == ["job.queued", "job.cancelled"]


def test_one_locked_job_does_not_hold_up_the_queue(database: Database) -> None:
    """A worker that is stopped in the middle of a transaction: its rows stay locked (Postgres)."""
    if database.is_sqlite:
        pytest.skip("SQLite has one lock for all")
    stuck = add_job(database)
    taken = one(database)
    expire(database, stuck)
    waiting = add_job(database)
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            queue.hold(session, taken)
            racing = pool.submit(claim, database, 5, "wrk_b")
            try:
                found = racing.result(2.0)
            except TimeoutError:
                found = None
        racing.result(10)
    assert found is not None, "the claim waited for a row that another worker had locked"
    assert [each.job_id for each in found] == [waiting]


def _until_blocked(database: Database) -> None:
    """Until another connection waits for a lock (on SQLite it waits outside of the database)."""
    if database.is_sqlite:
        return
    waits = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(2000):
        with database.reading() as session:
            if session.scalar(waits):
                return
    raise AssertionError("nobody waits")


def test_a_claim_that_was_never_answered_is_given_back(database: Database) -> None:
    """The COMMIT is done and its answer is lost: the worker does not know of the job that it holds."""
    known, unknown, others = add_job(database), add_job(database), add_job(database)
    (mine, _) = claim(database, 2)
    one(database, "wrk_b")
    queue.give_back_strays(database, "wrk_a", [mine])
    states = {each: job_row(database, each).status for each in (known, unknown, others)}
    assert states == {known: "running", unknown: "queued", others: "running"}
    assert job_row(database, unknown).crashes == 0
    assert one(database) == Claim(unknown, 2)
    queue.give_back_strays(database, "wrk_a", [mine, Claim(unknown, 1)])  # an older claim is no claim
    assert job_row(database, unknown).status == "queued"


def test_a_worker_takes_no_lease_from_itself(database: Database) -> None:
    """The clock has jumped between two beats: the next one renews it."""
    job_id = add_job(database)
    taken = one(database)
    expire(database, job_id)
    assert claim(database) == []
    assert queue.heartbeat(database, "wrk_a", [taken], LEASE) == {job_id: "run"}
    assert claim(database, 1, "wrk_b") == []


def test_a_heartbeat_tells_again_who_is_there(database: Database) -> None:
    who = {"host": "h", "pid": 1, "slots": 2, "started_at": now()}
    for _ in range(2):
        queue.heartbeat(database, "wrk_a", [], LEASE, who)
        with database.reading() as session:
            assert session.get_one(Worker, "wrk_a").slots == 2
    queue.free(database, "wrk_a", crashed=True)  # somebody took it for dead
    queue.heartbeat(database, "wrk_a", [Claim("job_of_a_test", 1)], LEASE, who)
    with database.reading() as session:
        assert session.get_one(Worker, "wrk_a").busy == 1


@pytest.mark.parametrize("status", ["running", "cancelling"])
def test_a_lease_from_before_the_clock_was_put_back_is_over(database: Database, status: str) -> None:
    """Its worker is dead, and its end may be an hour away, or years."""
    longest = Settings.model_fields["lease_seconds"].metadata
    assert queue.LONGEST_LEASE in [getattr(each, "le", None) for each in longest]
    job_id = add_job(database)
    one(database)
    far = clock() + queue.LONGEST_LEASE + 3000.0
    with database.writing() as session:
        values = {"lease_until": far, "status": status, "want": "run" if status == "running" else "cancel"}
        session.execute(sa.update(Job).where(Job.id == job_id).values(values))
    if status == "running":
        assert one(database, "wrk_b") == Claim(job_id, 2)
    else:
        assert queue.lapsed_stops(database, "wrk_b") == [Claim(job_id, 2)]
