"""One engine per URL; ``reading()`` and ``writing()`` transactions on SQLite and Postgres alike."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from app.storage import scope
from app.storage.away import is_away
from app.storage.columns import to_json
from app.storage.disk import is_full
from app.storage.hostclock import host_clock
from app.storage.turns import Turns

SAFE_WAL = (3, 51, 3)
"""Older SQLite can lose committed rows when a checkpoint races a commit: no WAL before this."""

CHANNEL = "chainrule"

STATEMENT_SECONDS = 5.0
IDLE_SECONDS = 15.0
POOL_SECONDS = 4.0
BUSY_SECONDS = 15.0

SHRUNK_AT_ONCE = 1024
"""Pages of SQLite's file that one transaction gives back."""

Result = TypeVar("Result")


def _kind(error: BaseException) -> str:
    return "full" if is_full(error) else "away" if is_away(error) else "other"


def _sqlite() -> ModuleType:
    try:
        import pysqlite3  # absent where it has no wheel
    except ImportError:
        import sqlite3  # not before it is needed: then it learns where its temporary files go

        module: ModuleType = sqlite3
    else:
        module = pysqlite3.dbapi2
    # The driver looks for an adapter of whatever is no plain number or text, and to find none takes a
    # microsecond: as long as the rest of an epoch's row. Both of these are C; the second gives None for None.
    module.register_adapter(bool, int)
    module.register_adapter(type(None), {}.get)
    return module


class Database:
    """The connection pool of one process.

    ``url`` is ``sqlite:///path`` or ``postgresql://…``. ``nudge`` is called after every commit that
    announced something (see `announce`), so that a supervisor beside us looks at once.
    ``relieve`` makes room on a full disk for what is `urgent`, and tells whether it could.

    On Postgres a statement that takes longer than ``patience`` seconds fails (None: it may take any time),
    and a transaction that does nothing for ``idle_seconds`` is ended. ``losses`` counts lost connections,
    ``failures`` transactions that failed: of a ``full`` disk, a database that was ``away``, or ``other``.

    A process that ``serves_requests`` opens no session without saying whose rows it is about: see `scope`.
    ``walled_role`` is what such sessions become, where `wall` stands.
    """

    def __init__(
        self,
        url: str,
        pool_size: int = 20,
        patience: float | None = STATEMENT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.nudge: Callable[[], None] = lambda: None
        self.relieve: Callable[[], bool] = lambda: False
        self.losses = 0
        self.failures = Counter[str]()
        self._counting = threading.Lock()
        self.serves_requests = False
        self.walled_role: str | None = None
        self._turns: Turns | None = None
        self._turn: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        self._watching: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        if self.is_sqlite:
            self._sqlite_module = _sqlite()
            self._clock: Callable[[], float] | None = None
            if self.path is not None:
                self._turns = Turns(self.path, BUSY_SECONDS)
                self._turn = self._turns.turn
            self.engine = sa.create_engine(
                self.url,
                module=self._sqlite_module,
                json_serializer=to_json,
                hide_parameters=True,  # users' values are not for the log
                pool_size=pool_size,
                max_overflow=pool_size,
            )
            event.listen(self.engine, "connect", self._prepare)
            event.listen(self.engine, "begin", _begin)
        else:
            from app.storage import postgres  # who uses SQLite has no need of the driver

            self.url = self.url.set(drivername="postgresql+psycopg")
            bare, self._parameters = postgres.options(self.url, patience, idle_seconds)
            self._patience = patience
            self._watching = postgres.Breaker().watching
            self.engine = sa.create_engine(
                bare,
                json_serializer=to_json,
                hide_parameters=True,  # users' values are not for the log
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_timeout=POOL_SECONDS,
                pool_pre_ping=True,
                connect_args=self._parameters,
            )
            event.listen(self.engine, "do_connect", self._connect)
            event.listen(self.engine, "invalidate", self._count_loss)
        self._writer = self.engine.execution_options(writing=True)

    @property
    def path(self) -> Path | None:
        """SQLite's file."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @property
    def wal(self) -> bool:
        """Whether this SQLite may keep a log, so that nobody who reads makes others wait."""
        return self.is_sqlite and self._sqlite_module.sqlite_version_info >= SAFE_WAL

    def _connect(self, _dialect: object, _record: object, arguments: Any, parameters: Any) -> Any:
        from app.storage.postgres import Connection, resolved

        connection = Connection.connect(*arguments, **resolved(parameters))
        connection.patience = self._patience
        return connection

    def _count_loss(self, *_: object) -> None:
        self.losses += 1

    def listener(self) -> Any:
        """A Postgres connection of its own, outside of the pool, that hears what is announced."""
        arguments, parameters = self.engine.dialect.create_connect_args(self.engine.url)
        connection = self._connect(None, None, arguments, {**parameters, **self._parameters})
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Any, _record: object) -> None:
        if self._clock is None:
            assert self.path is not None
            self._clock = host_clock(self.path.with_name(f"{self.path.name}-clock"))
        connection.create_function("chainrule_clock", 0, self._clock)
        connection.isolation_level = None  # BEGIN is ours: see _begin
        connection.execute(f"PRAGMA busy_timeout={int(1000 * BUSY_SECONDS)}")
        if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:  # to say it again would be a commit
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # for `shrink`; no effect on existing tables
        for pragma in (
            f"journal_mode={'WAL' if self.wal else 'DELETE'}",
            "synchronous=FULL",  # every 2xx must survive a power cut
            "foreign_keys=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """For reading; rolled back at the end. One view on SQLite, each statement's own on Postgres."""
        with self._failing(), self._watching(), self._session(self.engine) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with self._failing(), self._watching(), self._turn(), self._session(self._writer) as session:
            with session.begin():
                yield session
            announced = session.info.get("announced")
        if announced:
            self.nudge()

    def _session(self, engine: sa.Engine) -> Session:
        return scope.session(engine, must_be_bound=self.serves_requests, role=self.walled_role)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:  # an answer: it is there already
            raise
        except (DBAPIError, PoolTimeout) as error:
            with self._counting:
                self.failures[_kind(error)] += 1
            raise

    def patiently(self, unit: Callable[[Session], Result], seconds: float, *, urgent: bool = False) -> Result:
        """Run an idempotent unit of work in a transaction, again and again while the database is away.

        A full disk is not waited for; where it is ``urgent``, the ballast goes first.

        A connection that is lost during COMMIT leaves it open whether the unit was done: the unit must
        come to the same end when it is run a second time.
        """
        until, pause = time.monotonic() + seconds, 0.05
        while True:
            try:
                with self.writing() as session:
                    return unit(session)
            except SQLAlchemyError as error:
                if is_full(error) and urgent and self.relieve():
                    continue
                if is_full(error) or not is_away(error) or time.monotonic() + pause > until:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (those who failed together try apart)
            pause = min(2 * pause, 1.0)

    def claim_lock(self, session: Session) -> None:
        """Let one transaction at a time go on (SQLite's writer lock does so by itself)."""
        if not self.is_sqlite:
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(7411)))

    def announce(self, session: Session) -> None:
        """Tell every listener, when this transaction commits, that something it waits for has changed."""
        if self.is_sqlite:
            session.info["announced"] = True
        else:
            session.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))

    def shrink(self) -> None:
        """Give the disk back what deletions have left free in SQLite's file, in transactions of a few MiB."""
        before = None
        while self.is_sqlite:
            connection: Any = self.engine.raw_connection()
            try:
                free = connection.execute("PRAGMA freelist_count").fetchone()[0]
                if free in (0, before):
                    return
                before = free
                with self._turn():  # each page is a step of its own, which only a script takes
                    connection.executescript(f"PRAGMA incremental_vacuum({SHRUNK_AT_ONCE})")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # it is this that cuts the file
            finally:
                connection.close()

    @property
    def busy_connections(self) -> int:
        """Those of the pool that somebody has just now."""
        return int(self.engine.pool.checkedout())  # type: ignore[attr-defined]

    def close(self) -> None:
        self.engine.dispose()
        if self._turns is not None:
            self._turns.close()


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails with SQLITE_BUSY_SNAPSHOT at once,
    # whatever busy_timeout says: those that write must say so before their first read.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
