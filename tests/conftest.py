import gc
import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import pytest

from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.database import Database
from tests.support.postgres import Postgres
from tests.support.server import Server


@pytest.hookimpl(tryfirst=True)  # before what is slow is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is heavy is slow on Postgres: there it runs in `make check`."""
    for item in items:
        parameters = (
            item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        )
        if parameters.get("backend") == "postgres" and item.get_closest_marker("heavy"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What stands until the end is looked at no more: else each full collection takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test that has a database runs on both; of what is heavy only `make check` does."""
    name: str = request.param
    return name


class Starter:
    """Starts servers, each with a database of its own, and ends all of them."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._directories: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        self._numbers = itertools.count(1)
        self._stack = ExitStack()

    def start(self, backend: str, data_dir: Path | None = None, **options: object) -> Server:
        directory = data_dir or self._directories.mktemp("server") / f"data{next(self._numbers)}"
        url = None
        if backend == "postgres":
            url = self._request.getfixturevalue("postgres").new_database(migrated=True)
        server = Server(directory, url, **options)  # type: ignore[arg-type]
        self._stack.callback(server.close)
        return server.start()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def new_server(backend: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Starts servers of a module's own, with a data directory unless it is given one."""
    starter = Starter(request)
    yield partial(starter.start, backend)
    starter.close()


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Server]]:
    """One for each backend. With the backend as its parameter a fixture would start one for each file."""
    starter = Starter(request)
    yield cache(partial(starter.start, workers=2, lease_seconds=5, webhooks=True))
    starter.close()


@pytest.fixture(scope="session")
def server(backend: str, shared_servers: Callable[[str], Server]) -> Server:
    """One server for all tests that leave it as it was, but for what they make."""
    return shared_servers(backend)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite"
    database = Database(f"sqlite:///{path}")
    migration.upgrade(database)
    database.close()
    return path


@pytest.fixture
def database(
    backend: str, request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path
) -> Iterator[Database]:
    """An empty database that has the schema."""
    if backend == "sqlite":
        url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'chainrule.sqlite')}"
    else:
        url = request.getfixturevalue("postgres").new_database(migrated=True)
    database = Database(url, pool_size=4)
    yield database
    database.close()
    if backend == "postgres":
        request.getfixturevalue("postgres").drop(url)


@pytest.fixture
def blobs(database: Database, tmp_path: Path) -> Blobs:
    return Blobs(database, tmp_path / "blobs")
