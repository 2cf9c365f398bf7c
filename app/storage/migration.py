"""Move a database to the schema of ``tables.py``, by the scripts in ``alembic/``."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError, ProgrammingError

from alembic import command
from app.storage import view, wall
from app.storage.database import Database

MIGRATION_LOCK = 7412


class WrongSchema(Exception):
    """The database has another schema than this program needs; the message says what to do."""


def _scripts() -> Path:
    inside_wheel = Path(__file__).parent / "migrations"
    return inside_wheel if inside_wheel.exists() else Path(__file__).parents[2] / "alembic"


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


@cache
def revisions() -> frozenset[str]:
    """All that this code knows."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions())


def current(database: Database) -> str | None:
    """The database's revision; None when it is empty."""
    with database.engine.connect() as connection:
        return revision_of(connection)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of the database that it leads to; None when that is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def is_current(database: Database) -> bool:
    """Whether the database has the schema of this code; cheap enough for a probe.

    Raises SQLAlchemyError where it cannot be reached.
    """
    with database.reading() as session:
        try:
            return bool(session.scalar(sa.text("SELECT version_num FROM alembic_version")) == head())
        except ProgrammingError:  # Postgres: there is no such table
            return False
        except OperationalError as error:  # SQLite says so, too, or it is away
            if "no such table" not in str(error.orig):
                raise
            return False


def require(database: Database) -> None:
    """Raise WrongSchema unless the database has the schema of this code."""
    there = current(database)
    if there == head():
        return
    if there is None:
        raise WrongSchema("This database has no schema yet: run `chainrule-server migrate`.")
    _require_known(there)
    raise WrongSchema(
        f"This database has the schema {there}, and this program needs {head()}: back it up, stop what else "
        "works on it, and run `chainrule-server migrate`."
    )


def _require_known(there: str | None) -> None:
    if there is not None and there not in revisions():
        raise WrongSchema(
            f"This database has the schema {there} of a newer Chainrule: use that, or a newer one."
        )


def upgrade(database: Database, revision: str = "head", *, keep_copy: bool = True) -> None:
    """Apply what is missing in one transaction; before that, keep a copy of a SQLite file with data.

    Of several processes one does it, the others wait. With the newest schema comes the second wall, as far as
    this user may build it. Raises WrongSchema where the database is newer than this code.
    """
    wanted = head() if revision == "head" else revision
    _upgrade(database, revision, wanted, keep_copy)
    if wanted == head():
        wall.build(database)


def _upgrade(database: Database, revision: str, wanted: str | None, keep_copy: bool) -> None:
    if current(database) == wanted:
        return
    with _alone(database):
        before = current(database)
        _require_known(before)
        if before == wanted:
            return
        if keep_copy and database.path is not None and before is not None:
            _copy(database, database.path.with_suffix(f".before-{head()}.sqlite"))
        _run(database, command.upgrade, revision)


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """One process at a time copies and changes a SQLite file; the kernel unlocks what the dead have."""
    if database.path is None:
        yield
        return
    with database.path.with_name(f"{database.path.name}-migration").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def downgrade(database: Database, revision: str) -> None:
    _run(database, command.downgrade, revision)


def _run(database: Database, step: Callable[[Config, str], None], revision: str) -> None:
    with database.engine.execution_options(writing=True).begin() as connection:
        if not database.is_sqlite:  # two processes that start at once must not both migrate
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        step(_config(connection), revision)


def _copy(database: Database, destination: Path) -> None:
    partial = destination.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    view.copy(database, partial)
    shutil.move(partial, destination)
