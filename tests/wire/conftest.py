"""The whole application, behind our own server with little patience, in a thread of this process."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.main import create_app, prepare
from app.settings import Settings
from app.storage.database import Database
from app.wire.server import Server
from app.wire.tls import Certificate
from tests.support.certificates import Pair, made_pair
from tests.support.sockets import KEY, Wire

PATIENCE = {"head_seconds": 0.6, "body_seconds": 0.8, "keep_alive_seconds": 1.0, "max_connections": 200}


class Running(Server):
    """In a thread of its own."""

    def __init__(self, settings: Settings, database: Database, certificate: Certificate | None) -> None:
        super().__init__(create_app(settings, database), settings, certificate)
        self.door.beat_seconds = 0.1
        self.door.patience = self.door.patience._replace(linger=0.5)
        self.listening = self.listen()
        self.thread = threading.Thread(target=lambda: self.run(sockets=[self.listening]))

    def __enter__(self) -> Wire:
        port = self.listening.getsockname()[1]
        self.thread.start()
        while not self.started:
            time.sleep(0.01)
        return Wire(port, lambda: len(self.door))

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join()


@pytest.fixture(scope="session")
def new_wire(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Wire]]:
    """Starts servers whose settings are those of `PATIENCE`, or those given."""
    with ExitStack() as stack:

        def start(certificate: Certificate | None = None, **options: object) -> Wire:
            directory = tmp_path_factory.mktemp("wire")
            shutil.copy(migrated_sqlite, directory / "chainrule.sqlite")
            given = {**PATIENCE, **options, "data_dir": directory, "admin_key": SecretStr(KEY), "port": 0}
            settings = Settings(**given)  # type: ignore[arg-type]
            database = Database(settings.url)
            stack.callback(database.close)
            prepare(settings, database)
            return stack.enter_context(Running(settings, database, certificate))

        yield start


@pytest.fixture(scope="session")
def wire(new_wire: Callable[..., Wire]) -> Wire:
    return new_wire()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made_pair(tmp_path_factory.mktemp("pair"))
