import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.database import Database
from tests.support.postgres import Postgres
from tests.support.server import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test that has a database runs on both."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def new_server(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """Starts servers, each with a database of its own, and a data directory unless it is given one."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(data_dir: Path | None = None, **options: object) -> Server:
            directory = data_dir or tmp_path_factory.mktemp("server") / f"data{next(numbers)}"
            url = None
            if backend == "postgres":
                url = request.getfixturevalue("postgres").new_database()
            server = Server(directory, url, **options)  # type: ignore[arg-type]
            stack.callback(server.close)
            return server.start()

        yield start


@pytest.fixture(scope="session")
def server(new_server: Callable[..., Server]) -> Server:
    """One server for all tests that leave it as it was, but for what they make."""
    return new_server(workers=2, lease_seconds=5, webhooks=True)


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


@pytest.fixture
def blobs(database: Database, tmp_path: Path) -> Blobs:
    return Blobs(database, tmp_path / "blobs")
