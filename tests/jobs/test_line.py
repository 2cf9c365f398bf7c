"""The line on both databases: limits that hold whoever comes at once, a fair order, and one's place."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import TooManyJobs
from app.jobs import actions, line, queue, service
from app.jobs.queue import Claim
from app.jobs.states import State
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job, Project
from tests.support.rows import add_dataset, add_job, add_jobs, another_process, expire, job_row, principal

LEASE = 30.0


def claim(database: Database, slots: int = 1, worker: str = "wrk_a", most: int | None = None) -> list[str]:
    return [each.job_id for each in queue.claim(database, worker, slots, LEASE, most)]


def limit(database: Database, project: str, **limits: int | None) -> None:
    owner = principal(database, project).project_id
    with database.writing() as session:
        session.execute(sa.update(Project).where(Project.id == owner).values(limits))


def place(database: Database, job_id: str, most: int | None = None) -> int | None:
    with database.reading() as session:
        return line.position(session, session.get_one(Job, job_id), most)


def together(database: Database, number: int, work: Callable[[Database, int], Any]) -> list[Any]:
    """What ``work`` returns in as many processes' stead, which all begin at once."""
    start = threading.Barrier(number)

    def one(index: int) -> Any:
        with another_process(database) as own:
            start.wait()
            return work(own, index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_no_more_of_a_project_run_than_may(database: Database) -> None:
    mine = [add_job(database, "mine") for _ in range(4)]
    free = [add_job(database, "free") for _ in range(3)]
    limit(database, "mine", max_running=2)
    assert set(claim(database, 9)) == {*mine[:2], *free}
    queue.free(database, "wrk_a", crashed=False)
    limit(database, "mine", max_running=None)
    assert set(claim(database, 9, most=1)) == {mine[0], free[0]}  # the setting, for who has no limit
    assert claim(database, 9, most=0) == []
    limit(database, "mine", max_running=3)
    assert set(claim(database, 9, most=1)) == {*mine[1:3]}


def test_who_may_run_nothing_more_costs_nobody_a_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(database)
    limit(database, "default", max_running=0)
    monkeypatch.setattr(Database, "writing", lambda _: pytest.fail("a transaction"))
    assert claim(database, 1) == []


def test_a_lapsed_lease_gives_its_place_back(database: Database) -> None:
    first, second = add_job(database), add_job(database)
    limit(database, "default", max_running=1)
    assert claim(database, 2) == [first]
    assert claim(database, 2, "wrk_b") == []
    expire(database, first)
    assert claim(database, 2, "wrk_b") == [first]
    assert job_row(database, second).status == "queued"


def test_a_job_that_still_stops_keeps_its_place(database: Database, blobs: Blobs) -> None:
    first, second = add_job(database), add_job(database)
    limit(database, "default", max_running=1)
    claim(database)
    who = principal(database)
    with database.writing() as session:
        actions.ask(session, database, who, first, "cancel")
    assert claim(database) == []  # its trainer may still be at it
    queue.free(database, "wrk_a", crashed=True)
    assert claim(database) == [second]


def test_a_limit_on_running_jobs_is_exact_for_workers_that_come_at_once(database: Database) -> None:
    for index in range(24):
        add_job(database, f"p{index % 2}")
    limit(database, "p0", max_running=3)
    most = {principal(database, "p0").project_id: 3, principal(database, "p1").project_id: 5}
    running = sa.select(Job.project_id, sa.func.count()).where(Job.status == State.RUNNING)
    running = running.group_by(Job.project_id)
    seen = []

    def work(own: Database, name: int) -> int:
        taken = 0
        until = time.monotonic() + 10.0
        while time.monotonic() < until:
            claims = queue.claim(own, f"wrk_{name}", 3, LEASE, 5)
            with own.reading() as session:
                seen.append(dict(session.execute(running).all()))
                left = session.scalar(sa.select(sa.func.count()).where(Job.status == State.QUEUED))
            for each in claims:
                _end(own, each)
            taken += len(claims)
            if not claims and not left:
                break
        return taken

    assert sum(together(database, 4, work)) == 24
    assert all(count <= most[project] for each in seen for project, count in each.items())


def _end(database: Database, claim: Claim) -> None:
    values = {"status": "succeeded", "worker_id": None, "lease_until": 0.0}
    with database.writing() as session:
        held = sa.update(Job).where(Job.id == claim.job_id, Job.fence == claim.fence)
        session.execute(held.values(values))


def test_a_limit_on_waiting_jobs_is_exact_for_clients_that_come_at_once(
    database: Database, blobs: Blobs
) -> None:
    add_dataset(database, blobs)
    jobs = {"resume": add_jobs(database, 10, "default"), "retry": add_jobs(database, 10, "default")}
    with database.writing() as session:
        for action, status in (("resume", "paused"), ("retry", "failed")):
            session.execute(sa.update(Job).where(Job.id.in_(jobs[action])).values(status=status))
    limit(database, "default", max_queued=7)
    who = principal(database)
    refused: list[TooManyJobs] = []

    def work(own: Database, index: int) -> int:
        accepted = 0
        action: Any = "resume" if index % 2 else "retry"
        for job_id in jobs[action][index // 2 :: 2]:
            try:
                with own.writing() as session:
                    accepted += actions.ask(session, own, who, job_id, action, Quotas(max_queued=3))
            except TooManyJobs as error:
                refused.append(error)
        return accepted

    assert sum(together(database, 4, work)) == 7
    assert len(refused) == 13
    assert refused[0].headers["Retry-After"]
    assert "At most 7 jobs" in refused[0].detail
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Job.status == State.QUEUED)) == 7


def test_what_comes_back_from_a_worker_is_never_refused(database: Database, blobs: Blobs) -> None:
    first = add_job(database)
    (taken,) = queue.claim(database, "wrk_a", 1, LEASE)
    add_job(database)
    limit(database, "default", max_queued=1)
    who = principal(database)
    with pytest.raises(TooManyJobs), database.writing() as session:
        line.make_room(session, who.project_id, Quotas())
    queue.release(database, taken, crashed=True)
    assert job_row(database, first).status == "queued"
    with database.writing() as session:
        actions.ask(session, database, who, first, "pause")
        with pytest.raises(TooManyJobs):
            actions.ask(session, database, who, first, "resume", Quotas(max_queued=9))


def test_one_job_of_another_project_starts_at_the_next_free_place(database: Database) -> None:
    theirs = add_jobs(database, 500, "hostile")
    assert claim(database, 2) == theirs[:2]
    mine = add_job(database, "small")
    assert place(database, mine) == 1
    assert place(database, theirs[2]) == 2
    assert claim(database, 1) == [mine]
    assert claim(database, 1) == theirs[2:3]


@pytest.mark.parametrize("seed", range(4))
def test_a_place_is_when_a_job_is_claimed(database: Database, seed: int) -> None:
    dice = random.Random(seed)
    names = ["a", "b", "c", "d"]
    for _ in range(dice.randrange(8)):
        add_job(database, dice.choice(names))
    claim(database, 9)
    jobs = {add_job(database, dice.choice(names), priority=dice.randrange(3)): "" for _ in range(20)}
    limited = dice.choice(names)
    limit(database, limited, max_running=dice.randrange(1, 6))
    owner = principal(database, limited).project_id
    places = {job_id: place(database, job_id) for job_id in jobs}
    order = [taken for _ in jobs for taken in claim(database, 1)]
    free = [job_id for job_id in jobs if job_row(database, job_id).project_id != owner]
    assert set(free) <= set(order)
    assert {job_id: places[job_id] for job_id in order} == {job_id: n for n, job_id in enumerate(order, 1)}
    assert all(place(database, job_id) is None for job_id in order)
    waiting = [job_id for job_id in jobs if job_id not in order]
    assert sorted(waiting, key=lambda job_id: places[job_id] or 0) == sorted(
        waiting, key=lambda job_id: (-job_row(database, job_id).priority, job_id)
    )


def test_a_place_is_counted_up_to_a_thousand(database: Database) -> None:
    jobs = add_jobs(database, 1200, "many")
    assert [place(database, jobs[index]) for index in (0, 998, 999, 1199)] == [1, 999, 1000, 1000]
    other = add_job(database, "few", priority=-1)
    assert place(database, other) == 1000
    limit(database, "many", max_running=3)
    assert place(database, other) == 4


def test_a_priority_can_be_changed_until_the_end(database: Database) -> None:
    first, second = add_job(database), add_job(database)
    with database.writing() as session:
        service.prioritize(session.get_one(Job, second), 5)
    assert (place(database, second), place(database, first)) == (1, 2)
    assert claim(database, 1) == [second]
