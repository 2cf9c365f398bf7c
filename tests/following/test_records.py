"""A job is read once for all who ask, and no answer is older than its question."""

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.following import records
from app.jobs import service
from app.storage.database import Database
from app.storage.tables import Job
from tests.following.conftest import Counted, Play, until
from tests.support.rows import add_job, another_process, principal


def rename(database: Database, job_id: str, name: str) -> None:
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == job_id).values(name=name))


def test_many_who_ask_at_once_are_answered_by_one_read(database: Database, play: Play) -> None:
    asker, job_id = principal(database), add_job(database)

    async def scene(following: Counted) -> None:
        found = await asyncio.gather(*(following.records.get(asker, job_id) for _ in range(100)))
        assert {json.loads(each.body)["id"] for each in found} == {job_id}
        assert len(following.ran) == 1
        await following.records.get(asker, job_id)
        assert len(following.ran) == (1 if database.is_sqlite else 2)

    play(scene)


@pytest.mark.parametrize("other", [False, True], ids=["this process", "another process"])
def test_what_was_committed_before_the_question_is_in_the_answer(
    database: Database, play: Play, other: bool
) -> None:
    asker, job_id = principal(database), add_job(database)

    async def scene(following: Counted) -> None:
        with another_process(database) as theirs:
            for number in range(50):
                rename(theirs if other else database, job_id, f"name {number}")
                record = await following.records.get(asker, job_id)
                assert json.loads(record.body)["name"] == f"name {number}"

    play(scene)


def test_a_read_that_has_begun_answers_nobody_who_comes_later(database: Database, play: Play) -> None:
    asker, job_id = principal(database), add_job(database, name="old")

    async def scene(following: Counted) -> None:
        following.gate.clear()
        early = asyncio.create_task(following.records.get(asker, job_id))
        await until(lambda: following.ran)
        await asyncio.sleep(0.2)  # by now it has read
        rename(database, job_id, "new")
        late = asyncio.create_task(following.records.get(asker, job_id))
        await asyncio.sleep(0.05)
        following.gate.set()
        assert json.loads((await early).body)["name"] == "old"
        assert json.loads((await late).body)["name"] == "new"
        assert json.loads((await following.records.get(asker, job_id)).body)["name"] == "new"

    play(scene)


def test_a_commit_during_a_read_is_seen_by_the_next_question(
    database: Database, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, job_id = principal(database), add_job(database, name="old")
    answer = service.answer

    def and_then_rename(session: Session, job: Job, max_running: int | None) -> dict[str, Any]:
        found = answer(session, job, max_running)
        rename(database, job_id, "new")
        return found

    async def scene(following: Counted) -> None:
        monkeypatch.setattr(service, "answer", and_then_rename)
        assert json.loads((await following.records.get(asker, job_id)).body)["name"] == "old"
        monkeypatch.setattr(service, "answer", answer)
        assert json.loads((await following.records.get(asker, job_id)).body)["name"] == "new"

    play(scene)


def test_what_has_not_changed_is_not_made_again(
    database: Database, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, job_id = principal(database), add_job(database, status="running")
    answer, made = service.answer, list[str]()

    def counted(session: Session, job: Job, max_running: int | None) -> dict[str, Any]:
        made.append(job.id)
        return answer(session, job, max_running)

    monkeypatch.setattr(service, "answer", counted)

    async def scene(following: Counted) -> None:
        for number in (1, 2):
            first = await following.records.get(asker, job_id)
            assert (await following.records.get(asker, job_id)).body == first.body
            assert len(made) == number
            rename(database, job_id, f"name {number}")

    play(scene)


def test_a_place_in_the_line_changes_with_those_ahead(database: Database, play: Play) -> None:
    asker, ahead, job_id = principal(database), add_job(database), add_job(database)

    async def scene(following: Counted) -> None:
        assert json.loads((await following.records.get(asker, job_id)).body)["queue_position"] == 2
        with database.writing() as session:
            session.execute(sa.update(Job).where(Job.id == ahead).values(status="cancelled"))
        assert json.loads((await following.records.get(asker, job_id)).body)["queue_position"] == 1

    play(scene)


def test_another_project_finds_nothing_however_warm_it_is(database: Database, play: Play) -> None:
    owner, stranger, job_id = principal(database), principal(database, "other"), add_job(database)

    async def scene(following: Counted) -> None:
        for _ in range(3):
            await following.records.get(owner, job_id)
            told: list[Any] = []
            for asked in (job_id, "job_of_nobody"):
                with pytest.raises(NotFound) as refused:
                    await following.records.get(stranger, asked)
                told.append((refused.value.detail, refused.value.faults))
            assert told[0] == told[1]

    play(scene)


def test_one_who_leaves_takes_nothing_from_the_others(database: Database, play: Play) -> None:
    asker, job_id = principal(database), add_job(database)

    async def scene(following: Counted) -> None:
        asking = [asyncio.create_task(following.records.get(asker, job_id)) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        assert json.loads((await asking[1]).body)["id"] == job_id
        assert json.loads((await asking[2]).body)["id"] == job_id

    play(scene)


def test_what_is_kept_is_bounded(database: Database, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MEMORY_BYTES", 10_000)
    asker, jobs = principal(database), [add_job(database, status="running") for _ in range(20)]

    async def scene(following: Counted) -> None:
        for job_id in jobs * 2:
            await following.records.get(asker, job_id)
        kept = following.records._kept
        assert 2 <= len(kept) <= 10
        assert following.records._size == sum(len(each.body) for each in kept.values()) <= 10_000

    play(scene)
