"""Who works at which batch: turns between projects, leases, and a fence that a late worker runs into."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.batches import line
from app.batches.line import Held
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import Batch
from tests.support.rows import another_process, principal


def add(database: Database, project: str = "default", **values: Any) -> str:
    owner = principal(database, project)
    row = {
        "id": new_id("bat"), "project_id": owner.project_id, "created_by": owner.key_id,
        "created_at": now(), "labels": {}, "model_id": "mdl_a", "dataset_id": "ds_a", "status": "queued",
        "row_count": 10, "warnings": [], **values,
    }  # fmt: skip
    with database.writing() as session:
        session.execute(sa.insert(Batch).values(row))
    return str(row["id"])


def row_of(database: Database, batch_id: str) -> Batch:
    with database.reading() as session:
        return session.get_one(Batch, batch_id)


def claimed(database: Database) -> Held:
    held = line.claim(database)
    assert held is not None
    return held


def let_expire(database: Database, batch_id: str) -> None:
    with database.writing() as session:
        session.get_one(Batch, batch_id).lease_until = 0.0


def test_the_oldest_is_taken_once(database: Database) -> None:
    first, second = add(database), add(database)
    assert [claimed(database).id, claimed(database).id] == [first, second]
    assert line.claim(database) is None
    assert row_of(database, first).status == "running"


def test_projects_take_turns(database: Database) -> None:
    of_many = [add(database, "many") for _ in range(3)]
    of_few = [add(database, "few")]
    order = [claimed(database).id for _ in range(4)]
    assert order == [of_many[0], of_few[0], *of_many[1:]]


def test_whoever_is_silent_loses_it_and_writes_no_more(database: Database) -> None:
    batch_id = add(database)
    lost = claimed(database)
    assert line.renew(database, lost, 5)
    assert line.claim(database) is None
    let_expire(database, batch_id)
    with another_process(database) as other:
        heir = claimed(other)
        assert (heir.id, heir.fence) == (batch_id, lost.fence + 1)
    assert not line.renew(database, lost, 6)
    with database.writing() as session:
        assert not line.write(session, lost, {"status": "succeeded"})
        assert line.write(session, heir, {"status": "succeeded"})
    assert row_of(database, batch_id).status == "succeeded"


def test_one_that_was_cancelled_is_not_written_to(database: Database) -> None:
    batch_id = add(database)
    held = claimed(database)
    with database.writing() as session:
        session.get_one(Batch, batch_id).status = "cancelled"
    assert not line.renew(database, held, 5)
    with database.writing() as session:
        assert not line.write(session, held, {"status": "succeeded"})
    line.give_back(database, held)
    assert row_of(database, batch_id).status == "cancelled"


def test_what_is_given_back_may_be_begun_as_often_as_before(database: Database) -> None:
    batch_id = add(database)
    for _ in range(2 * line.MOST_ATTEMPTS):
        line.give_back(database, claimed(database))
    assert (row_of(database, batch_id).status, row_of(database, batch_id).attempts) == ("queued", 0)


def test_what_ends_a_server_again_and_again_fails(database: Database) -> None:
    batch_id, next_id = add(database), add(database)
    for _ in range(line.MOST_ATTEMPTS):
        assert claimed(database).id == batch_id
        let_expire(database, batch_id)
        with database.writing() as session:  # the turn of the same again
            session.execute(sa.update(Batch).values(started_at=None))
    assert line.claim(database) is None
    failed = row_of(database, batch_id)
    assert failed.status == "failed"
    assert failed.error == line.NEVER_ENDED
    assert claimed(database).id == next_id


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_is_never_taken(database: Database, status: str) -> None:
    add(database, status=status)
    assert line.claim(database) is None
