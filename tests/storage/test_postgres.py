"""A Postgres that stands behind a bad network: every wait ends, and what was cut is known for what it is."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.storage.away import is_away
from app.storage.changes import Changes
from app.storage.columns import new_id, now
from app.storage.database import CHANNEL, Database
from app.storage.scope import across, within
from app.storage.tables import Project
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy, Where
from tests.support.rows import another_process
from tests.support.server import until


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    proxy = Proxy(postgres.new_database(migrated=True))
    yield proxy
    proxy.close()


@pytest.fixture
def behind(proxy: Proxy) -> Iterator[Database]:
    database = Database(proxy.url, 4, patience=1.0, idle_seconds=0.5)
    yield database
    proxy.heal()
    database.close()


def one(database: Database) -> object:
    with database.reading() as session:
        return session.scalar(sa.text("SELECT 1"))


def answers(database: Database) -> bool:
    try:
        return one(database) == 1
    except OperationalError:
        return False


def is_connected(changes: Changes) -> bool:
    return changes.at_once


def failure(database: Database, *statements: str, between: Callable[[], object] = int) -> SQLAlchemyError:
    """What becomes of a transaction of these statements."""

    def run() -> None:
        with database.writing() as session:
            for each in statements:
                session.execute(sa.text(each))
                between()

    with pytest.raises(SQLAlchemyError) as caught:
        run()
    assert is_away(caught.value)
    return caught.value


def test_a_server_that_falls_silent_is_given_up(proxy: Proxy, behind: Database) -> None:
    start = time.monotonic()
    failure(behind, "SELECT 1", "SELECT 2", between=proxy.swallow)
    assert time.monotonic() - start < 4.0  # a limit of 1 s, on a busy host
    assert behind.losses > 0
    proxy.heal()
    until(lambda: answers(behind), 5)


def test_a_connection_that_breaks_under_one_who_sees_everybody_is_away(
    proxy: Proxy, behind: Database
) -> None:
    """Going back to its own project must not hide what became of the connection."""
    behind.walled_role = behind.url.username

    def run() -> None:
        with within("ours"), behind.reading() as session, across(session):
            session.scalars(sa.select(Project.id)).all()
            proxy.reset()
            session.scalars(sa.select(Project.id)).all()

    with pytest.raises(SQLAlchemyError) as caught:
        run()
    assert is_away(caught.value), caught.value


@pytest.mark.parametrize(
    ("orig", "away"),
    [
        (psycopg.DatabaseError(), True),
        (psycopg.InternalError("got no result from the query"), True),
        (psycopg.errors.UndefinedTable("no such table"), False),
        (psycopg.errors.InternalError_("of the server's own"), False),
        (psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed"), False),
        (sqlite3.DatabaseError("database disk image is malformed"), False),
    ],
)
def test_what_the_server_has_not_said_is_the_connections_fault(orig: Exception, away: bool) -> None:
    """Whether or not the driver knows already that the connection is broken."""
    base = psycopg.Error if isinstance(orig, psycopg.Error) else sqlite3.Error
    error = DBAPIError.instance("SELECT 1", None, orig, base)
    assert is_away(error) == away, error


def test_while_it_is_silent_nobody_waits_behind_another(proxy: Proxy, behind: Database) -> None:
    one(behind)
    proxy.swallow()
    start = time.monotonic()

    def ask(_: int) -> bool:
        with pytest.raises(OperationalError):
            one(behind)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(40)))
    assert time.monotonic() - start < 9.0  # one after the other it is half a minute and more
    proxy.heal()
    start = time.monotonic()
    until(lambda: answers(behind), 10)
    assert time.monotonic() - start < 5.0


def test_a_statement_that_takes_too_long_fails_and_its_connection_goes_on(behind: Database) -> None:
    one(behind)
    failure(behind, "SELECT pg_sleep(5)")
    assert behind.losses == 0
    assert one(behind) == 1


def test_one_who_is_stopped_in_a_transaction_does_not_keep_its_locks(
    proxy: Proxy, behind: Database, postgres: Postgres
) -> None:
    failure(behind, "SELECT pg_advisory_xact_lock(1)", "SELECT 1", between=lambda: time.sleep(1.0))
    assert one(behind) == 1


def test_broken_connections_are_renewed_before_they_are_used(proxy: Proxy, behind: Database) -> None:
    one(behind)
    proxy.reset()
    assert one(behind) == 1


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_commit_that_was_cut_is_made_good(proxy: Proxy, behind: Database, where: Where) -> None:
    """Before the server has seen it, or after it was done: the unit comes to the same end."""
    project_id, runs = new_id("proj"), []

    def unit(session: Session) -> None:
        runs.append(session.scalar(sa.select(sa.func.count()).select_from(Project)))
        if session.get(Project, project_id) is None:
            session.add(Project(id=project_id, name="once", created_at=now()))

    proxy.cut_commit(where, "INSERT INTO projects")
    behind.patiently(unit, 10.0)
    assert (runs, proxy.cuts) == ([0, 1 if where == "after" else 0], 1)
    with behind.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Project)) == 1


def test_who_listens_listens_again_when_others_have_lost_the_server(proxy: Proxy, behind: Database) -> None:
    changes = Changes(behind)
    try:
        until(changes.poll)
        failure(behind, "SELECT 1", "SELECT 2", between=proxy.swallow)
        assert not is_connected(changes)
        proxy.heal()
        until(lambda: changes.poll() and is_connected(changes), 10)
        until(lambda: not changes.poll())
        with another_process(behind) as other, other.writing() as session:
            session.execute(sa.text(f"NOTIFY {CHANNEL}"))
        until(changes.poll)
    finally:
        changes.close()


def test_what_the_url_says_itself_counts(postgres: Postgres) -> None:
    theirs = "application_name=mine&options=-c%20statement_timeout%3D1234"
    url = f"{postgres.new_database()}&{theirs}"
    database = Database(url)
    with database.reading() as session:
        names = ("statement_timeout", "application_name", "idle_in_transaction_session_timeout")
        shown = [session.scalar(sa.text(f"SHOW {name}")) for name in names]
    database.close()
    assert shown == ["1234ms", "mine", "15s"]
