"""Hints that something in the database has changed. They may be lost: whoever waits also looks by itself."""

import asyncio
import contextlib
import logging
import time
from contextvars import Context
from typing import Any

from app.storage.database import Database

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


class Changes:
    """Tells whether other connections have committed: SQLite's data_version (2 µs), Postgres's NOTIFY."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._connections = 0
        self._version: int | None = None
        self._losses = 0
        self._closed = False
        self._retry_at = 0.0

    def poll(self) -> bool:
        """Whether there was a change since the last call; never raises, blocks only to connect."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            return self._sqlite() if self._database.is_sqlite else self._postgres()
        except Exception as error:
            log.warning("cannot listen for changes: %s", type(error).__name__)
            self._drop()
            self._retry_at = time.monotonic() + RECONNECT_SECONDS
            return True
        finally:
            if self._closed:  # while another thread was connecting
                self._drop()

    @property
    def at_once(self) -> bool:
        """Whether `poll` returns at once: to connect to a server takes longer than to open a file."""
        return self._database.is_sqlite or self._listens

    @property
    def mark(self) -> tuple[int, int] | None:
        """SQLite: equal after two polls only if nothing was committed in between. None: nobody can tell."""
        if self._version is None or self._connection is None:
            return None
        return self._connections, self._version

    def fileno(self) -> int | None:
        """A descriptor to wait on beside others (Postgres only)."""
        if self._database.is_sqlite or self._connection is None or self._connection.closed:
            return None
        return int(self._connection.fileno())

    def close(self) -> None:
        """For good."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _sqlite(self) -> bool:
        if self._connection is None:
            pooled = self._database.engine.raw_connection()
            self._connection = pooled.dbapi_connection
            pooled.detach()
            self._connections += 1  # each counts versions in its own way
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changed: bool = version != self._version
        self._version = version
        return changed

    @property
    def _listens(self) -> bool:
        return self._connection is not None and self._losses == self._database.losses

    def _postgres(self) -> bool:
        if not self._listens:
            # One who only listens does not notice that nobody speaks any more: others have.
            self._drop()
            self._losses = self._database.losses
            self._connection = self._database.listener()
            return True
        return any(list(self._connection.notifies(timeout=0)))


class Watch:
    """Lets coroutines wait for the database to change; it looks only while somebody waits.

    Take ``version`` before reading what you wait for, then await ``after(version, …)``: a change in
    between is not missed.
    """

    def __init__(self, database: Database) -> None:
        self._changes = Changes(database)
        self._exact = database.is_sqlite
        self._waiting = 0
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self.version = 0

    async def after(self, version: int, seconds: float) -> None:
        """Return when something has changed since ``version``, or after ``seconds``, or at `stop`."""
        if self.version != version or self.stopped:
            return
        self._waiting += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), context=Context())
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        finally:
            self._waiting -= 1

    def mark(self) -> tuple[int, int] | None:
        """What was read after this is still so for as long as this stays equal; 5 µs.

        Every commit counts, those of this process too. None on Postgres, whose hints come late, or when the
        file cannot be opened: then only reading tells.
        """
        if not self._exact:
            return None
        if self._changes.poll():
            self.wake()
        return self._changes.mark

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    async def stopping(self, seconds: float) -> bool:
        """Return after so many seconds, or at `stop`, which is told by True."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self.stopped

    def stop(self) -> None:
        """Wake everybody, for good: the server is going away."""
        self._stop.set()
        self.wake()

    def close(self) -> None:
        self._changes.close()

    def wake(self) -> None:
        """Have everybody look again."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _look(self) -> None:
        pause = 0.001
        while self._waiting and not self.stopped:
            at_once = self._changes.at_once
            if self._changes.poll() if at_once else await asyncio.to_thread(self._changes.poll):
                self.wake()
                pause = 0.001
            pause = min(pause * 1.2, 0.02)  # a short job is seen at once, a long one costs little
            await asyncio.sleep(pause)
