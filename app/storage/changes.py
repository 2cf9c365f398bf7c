"""Hints that something in the database has changed. They may be lost: whoever waits also looks by itself."""

import asyncio
import contextlib
import logging
import time
from typing import Any

import psycopg

from app.storage.database import CHANNEL, Database

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


class Changes:
    """Tells whether other connections have committed: SQLite's data_version (2 µs), Postgres's NOTIFY."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._version: int | None = None
        self._retry_at = 0.0

    def poll(self) -> bool:
        """Whether there was a change since the last call; never raises, blocks only to connect."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            return self._sqlite() if self._database.is_sqlite else self._postgres()
        except Exception as error:
            log.warning("cannot listen for changes: %s", type(error).__name__)
            self.close()
            self._retry_at = time.monotonic() + RECONNECT_SECONDS
            return True

    @property
    def connected(self) -> bool:
        """Whether `poll` returns at once; the first time it connects, which may take seconds."""
        return self._connection is not None

    def fileno(self) -> int | None:
        """A descriptor to wait on beside others (Postgres only)."""
        if self._database.is_sqlite or self._connection is None or self._connection.closed:
            return None
        return int(self._connection.fileno())

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _sqlite(self) -> bool:
        if self._connection is None:
            pooled = self._database.engine.raw_connection()
            self._connection = pooled.dbapi_connection
            pooled.detach()
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changed: bool = version != self._version
        self._version = version
        return changed

    def _postgres(self) -> bool:
        if self._connection is None:
            url = self._database.url.set(drivername="postgresql")
            self._connection = psycopg.connect(
                url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
            )
            self._connection.execute(f"LISTEN {CHANNEL}")
            return True
        return any(list(self._connection.notifies(timeout=0)))


class Watch:
    """Lets coroutines wait for the database to change; it looks only while somebody waits.

    Take ``version`` before reading what you wait for, then await ``after(version, …)``: a change in
    between is not missed.
    """

    def __init__(self, database: Database) -> None:
        self._changes = Changes(database)
        self._waiting = 0
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False
        self.version = 0

    async def after(self, version: int, seconds: float) -> None:
        """Return when something has changed since ``version``, or after ``seconds``, or at `stop`."""
        if self.version != version or self._stopped:
            return
        self._waiting += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        finally:
            self._waiting -= 1

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Wake everybody, for good: the server is going away."""
        self._stopped = True
        self._wake()

    def close(self) -> None:
        self._changes.close()

    def _wake(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _look(self) -> None:
        pause = 0.001
        while self._waiting and not self._stopped:
            connected = self._changes.connected
            if self._changes.poll() if connected else await asyncio.to_thread(self._changes.poll):
                self._wake()
                pause = 0.001
            pause = min(pause * 1.2, 0.02)  # a short job is seen at once, a long one costs little
            await asyncio.sleep(pause)
