"""Who may read metrics, how old they may be, and what is told while the database is away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app, prepare
from app.metrics import service, standing
from app.settings import Settings
from app.storage.database import Database
from tests.support.problems import assert_problem
from tests.support.server import until

ADMIN = "an-operators-own-admin-key"
OWN = "a-key-for-prometheus-alone"
NEW_SECONDS = 0.05


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """An application of its own, asked without a key."""
    with ExitStack() as stack:

        def begin(**options: object) -> TestClient:
            settings = Settings(data_dir=tmp_path, admin_key=ADMIN, **options)  # type: ignore[arg-type]
            database = Database(settings.url)
            stack.callback(database.close)
            prepare(settings, database)
            return stack.enter_context(
                TestClient(create_app(settings, database), base_url="http://localhost")
            )

        yield begin


def ask(client: TestClient, path: str = "/metrics", key: str | None = None) -> httpx.Response:
    return client.get(path, headers={} if key is None else {"Authorization": f"Bearer {key}"})  # type: ignore[return-value]


def values(client: TestClient) -> dict[str, float]:
    """Of the samples without labels, and of the rest their sum."""
    found = dict[str, float]()
    for family in text_string_to_metric_families(ask(client, key=ADMIN).text):
        for each in family.samples:
            found[each.name] = found.get(each.name, 0.0) + each.value
    return found


def test_a_key_of_their_own_is_good_for_metrics_alone(start: Callable[..., TestClient]) -> None:
    client = start(metrics_key=OWN)
    assert ask(client, key=OWN).status_code == 200
    assert ask(client, key=ADMIN).status_code == 200
    assert_problem(ask(client), 401)
    assert_problem(ask(client, key=f"{OWN}x"), 401)
    for path in ("/v1", "/v1/workers", "/metrics/", "//metrics", "/openapi.json"):
        assert_problem(ask(client, path, OWN), 401)
    assert_problem(client.post("/metrics", headers={"Authorization": f"Bearer {OWN}"}), 405)  # type: ignore[arg-type]


def test_they_are_open_where_that_is_set(start: Callable[..., TestClient]) -> None:
    client = start(metrics_open=True)
    assert ask(client).status_code == 200
    assert ask(client, key="wrong").status_code == 200
    assert_problem(ask(client, "/v1"), 401)
    paths = ask(client, "/openapi.json", ADMIN).json()["paths"]
    assert "security" not in paths["/metrics"]["get"]
    assert paths["/v1"]["get"]["security"] == [{"key": []}]


def test_who_asks_often_costs_one_look(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = [], standing.look

    def count(database: Database, most: int | None) -> standing.Standing:
        looks.append(most)
        return look(database, most)

    monkeypatch.setattr(standing, "look", count)
    client = start()
    assert len({ask(client, key=ADMIN).text for _ in range(5)}) == 1
    assert len(looks) == 1
    until(lambda: values(client).get("chainrule_http_requests_total", 0.0) >= 5.0, 3.0)
    assert len(looks) == 2


def test_without_a_database_the_rest_is_told(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "FRESH_SECONDS", 0.0)
    client = start()
    assert values(client)["chainrule_database_up"] == 1.0
    with Database(f"sqlite:///{tmp_path / 'chainrule.sqlite'}").writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE workers RENAME TO gone")
    found = values(client)
    assert found["chainrule_database_up"] == 0.0
    assert found["chainrule_database_failures_total"] == 1.0
    assert found["chainrule_http_requests_total"] >= 1.0
    assert "chainrule_jobs" not in found


def test_a_database_that_hangs_is_asked_once_and_not_waited_for(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(service, "PATIENCE_SECONDS", NEW_SECONDS)
    over, looks, look = threading.Event(), [], standing.look

    def hang(database: Database, most: int | None) -> standing.Standing:
        looks.append(most)
        over.wait(20.0)
        return look(database, most)

    monkeypatch.setattr(standing, "look", hang)
    client = start()
    start_of_all = time.monotonic()
    assert [values(client)["chainrule_database_up"] for _ in range(3)] == [0.0] * 3
    assert time.monotonic() - start_of_all < 10.0
    assert len(looks) == 1
    over.set()
    until(lambda: values(client)["chainrule_database_up"] == 1.0, 10.0)
