"""When a key was used last: written once a minute, by nobody who waits for it, and never put back."""

from datetime import datetime, timedelta

import pytest

from app.keys import service, uses
from app.keys.service import Authenticator
from app.keys.uses import Uses
from app.storage.columns import now
from app.storage.database import Database


def make(database: Database) -> tuple[str, str]:
    with database.writing() as session:
        key, secret = service.create(session, name="a", role="read")
    return key.id, secret


def last(database: Database, key_id: str) -> datetime | None:
    with database.reading() as session:
        return service.get(session, key_id)[0].last_used_at


def test_a_use_is_written_by_whoever_keeps_house(database: Database) -> None:
    key, secret = make(database)
    other, _ = make(database)
    doorman = Authenticator(database)
    doorman.check(secret, "")
    assert last(database, key) is None
    doorman.uses.write()
    found = last(database, key)
    assert found is not None
    assert abs((now() - found).total_seconds()) < 30
    assert last(database, other) is None


def test_it_is_written_once_a_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = make(database)
    ours = Uses(database)
    ours.note(key)
    ours.write()
    first = last(database, key)
    ours.note(key)
    ours.write()
    assert last(database, key) == first
    ours._write_at = 0.0
    ours.write()
    found = last(database, key)
    assert found is not None
    assert first is not None
    assert found > first
    monkeypatch.setattr(Database, "writing", lambda _: pytest.fail("there was nothing to write"))
    ours._write_at = 0.0
    ours.write()


def test_an_earlier_use_does_not_put_it_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = make(database)
    ours, late = Uses(database), Uses(database)
    monkeypatch.setattr(uses, "now", lambda: now() - timedelta(minutes=5))
    late.note(key)
    monkeypatch.undo()
    ours.note(key)
    ours.write()
    found = last(database, key)
    late.write()
    assert last(database, key) == found
