"""A server that is not ready names every reason, and answers in time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from app.main import create_app, prepare
from app.settings import Settings
from app.state import State
from app.storage import migration
from app.storage.database import Database


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path, admin_key="an-operators-own-admin-key")
    database = Database(settings.url)
    prepare(settings, database)
    with TestClient(create_app(settings, database), base_url="http://localhost") as client:
        yield client
    database.close()


def state_of(client: TestClient) -> State:
    state: State = client.app.state.chainrule  # type: ignore[attr-defined]
    return state


def reasons(client: TestClient, **query: Any) -> list[str]:
    """What a 503 names; every one of them says what to do."""
    answer = client.get("/readyz", params=query)
    problem = answer.json()
    assert (answer.status_code, problem["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    for each in problem["errors"]:
        assert (each["code"], bool(each["hint"])) == ("not_ready", True)
        assert each["message"] in problem["detail"]
    return [each["param"] for each in problem["errors"]]


def test_a_ready_server_tells_its_conditions(client: TestClient) -> None:
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["database"], ready["disk"]) == ("ready", "ok", "ok")
    assert ready["schema_version"] == migration.head()


def test_each_reason_has_its_name(client: TestClient) -> None:
    assert reasons(client, workers=1) == ["workers"]
    database = state_of(client).database
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'other'"))
    assert reasons(client) == ["schema"]
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    assert reasons(client, workers=1) == ["schema"]
    state_of(client).watch.stop()
    assert reasons(client) == ["shutdown", "schema"]
    assert client.get("/livez").status_code == 200


def test_a_database_that_is_away_is_not_another_schema(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(OperationalError):
        migration.is_current(nobody)
    own, is_current = state_of(client).database, migration.is_current
    monkeypatch.setattr(migration, "is_current", lambda each: is_current(nobody if each is own else each))
    assert reasons(client, workers=1) == ["database"]
    nobody.close()


def test_a_database_that_hangs_is_not_waited_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(migration, "is_current", lambda _: over.wait(20.0))
    start = time.monotonic()
    assert reasons(client) == ["database"]
    assert time.monotonic() - start < 5.0
    over.set()
