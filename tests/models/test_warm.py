"""Models in memory: what the warm path reads, and how soon it follows what others change."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from app.aliases import service as aliases
from app.errors import NotFound
from app.keys.service import Principal
from app.models import records, warm
from app.models.records import Trained
from app.models.warm import WarmModels
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Model
from tests.support.rows import add_job, job_row, parameters, principal

ENCODING: dict[str, Any] = {
    "task": "regression",
    "features": [],
    "targets": [],
    "classes": None,
    "other_columns": [],
}


@pytest.fixture
def owner(database: Database) -> Principal:
    return principal(database)


@pytest.fixture
def models(database: Database, blobs: Blobs) -> list[str]:
    """Two, of the same parameters."""
    job = job_row(database, add_job(database))
    made = []
    for _ in range(2):
        trained = Trained(job, parameters(), records.stage(blobs, parameters()), ENCODING, 1)
        with database.writing() as session:
            made.append(records.add(session, blobs, trained, {}))
    return made


def point(database: Database, owner: Principal, name: str, model_id: str) -> None:
    with database.writing() as session:
        aliases.put(session, owner, name, model_id, Quotas())


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(database.engine, "before_cursor_execute", note)


def get(kept: WarmModels, owner: Principal, reference: str) -> str:
    return asyncio.run(kept.get(owner, reference)).id


@pytest.mark.parametrize("by", ["id", "alias"])
def test_who_was_seen_within_a_second_is_not_looked_up(
    database: Database, blobs: Blobs, owner: Principal, models: list[str], by: str
) -> None:
    point(database, owner, "champion", models[0])
    kept, reference = WarmModels(database, blobs), "champion" if by == "alias" else models[0]
    assert get(kept, owner, reference) == models[0]
    with statements(database) as seen:
        assert [get(kept, owner, reference) for _ in range(3)] == [models[0]] * 3
    assert seen == []


def test_a_moved_alias_acts_when_its_second_is_over(
    database: Database, blobs: Blobs, owner: Principal, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = WarmModels(database, blobs)
    point(database, owner, "champion", models[0])
    assert warm.FRESH_SECONDS == 1.0
    assert get(kept, owner, "champion") == models[0]
    point(database, owner, "champion", models[1])
    assert get(kept, owner, "champion") == models[0]
    monkeypatch.setattr(warm, "FRESH_SECONDS", -1.0)
    kept.load(owner, "champion")
    assert get(kept, owner, "champion") == models[1]
    with database.writing() as session:
        aliases.delete(session, owner, "champion")
    with pytest.raises(NotFound):
        get(kept, owner, "champion")


def test_a_model_that_has_to_make_room_is_loaded_again(
    database: Database, blobs: Blobs, owner: Principal, models: list[str]
) -> None:
    kept = WarmModels(database, blobs, memory_bytes=1)
    assert [get(kept, owner, each) for each in models] == models
    assert (kept.count, kept.loads, kept.evictions) == (1, 2, 1)
    assert get(kept, owner, models[0]) == models[0]
    assert (kept.count, kept.loads, kept.evictions) == (1, 3, 2)
    assert kept.size_bytes == parameters().flat.nbytes
    kept.load(owner, models[0])
    assert kept.loads == 3


def test_a_deleted_model_is_not_kept(
    database: Database, blobs: Blobs, owner: Principal, models: list[str]
) -> None:
    kept = WarmModels(database, blobs)
    kept.load(owner, models[0])
    with database.writing() as session:
        session.execute(sa.delete(Model).where(Model.id == models[0]))
    with pytest.raises(NotFound):
        kept.load(owner, models[0])
    assert kept._kept == {}


def test_what_is_remembered_is_bounded(
    database: Database,
    blobs: Blobs,
    owner: Principal,
    models: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm, "MOST_SEEN", 3)
    kept = WarmModels(database, blobs)
    for number in range(5):
        point(database, owner, f"name{number}", models[number % 2])
        assert get(kept, owner, f"name{number}") == models[number % 2]
        assert len(kept._seen) <= 3


def test_another_projects_alias_leads_nowhere(
    database: Database, blobs: Blobs, owner: Principal, models: list[str]
) -> None:
    kept = WarmModels(database, blobs)
    point(database, owner, "champion", models[0])
    get(kept, owner, "champion")
    stranger = principal(database, "strangers")
    for reference in ("champion", models[0]):
        with pytest.raises(NotFound):
            get(kept, stranger, reference)
