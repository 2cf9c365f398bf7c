"""What those who follow jobs share, on a real database, with a count of how often it is asked."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from app import logs
from app.following.service import Following
from app.keys.service import Authenticator
from app.settings import Settings
from app.storage.changes import Watch
from app.storage.database import Database


class Counted(Following):
    """Names every function that was run in a thread."""

    def __init__(self, database: Database, watch: Watch, settings: Settings) -> None:
        self.ran: list[str] = []
        self.known: dict[str, dict[str, Any]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        super().__init__(database, watch, Authenticator(database), settings)

    def wait(self) -> None:
        """Until nobody reads any more: a connection that comes back to a closed pool is never closed."""
        self._threads.shutdown()

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.ran.append(function.__name__)
        self.known[function.__name__] = dict(logs.KNOWN.get())  # what a log line would say
        found = await super()._run(function, *arguments)
        await self.gate.wait()  # what was read is passed on when the test wants it
        return found


async def until(condition: Callable[[], Any]) -> None:
    """Return when it holds; the scene's own time limit is the limit."""
    while not condition():  # noqa: ASYNC110 (what is waited for knows nothing of it)
        await asyncio.sleep(0.005)


Play = Callable[[Callable[[Counted], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(database: Database) -> Play:
    """Runs a coroutine that is given what follows jobs in this process."""

    def run(scene: Callable[[Counted], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            watch = Watch(database)
            following = Counted(database, watch, Settings())
            try:
                await asyncio.wait_for(scene(following), 60.0)
            finally:
                watch.stop()
                following.close()
                following.wait()
                watch.close()

        uvloop.run(whole())  # as the server does

    return run
