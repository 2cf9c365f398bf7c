"""The second wall is built by whoever may, and the server tells where it does not stand."""

import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from app import main
from app.settings import Settings
from app.storage import migration, wall
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.scope import bare, within
from app.storage.tables import Job
from tests.support.postgres import Postgres
from tests.support.walled import PROJECTS, fill, projects_seen


def owned_by(postgres: Postgres, owner: str, rights: str) -> Database:
    """A migrated database that belongs to a user with those rights, connected as that user."""
    url = make_url(postgres.new_database())
    with psycopg.connect(url.render_as_string(False), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (owner,)).fetchone():
            connection.execute(f"CREATE ROLE {owner} LOGIN {rights}")
        connection.execute(f"ALTER DATABASE {url.database} OWNER TO {owner}")
    database = Database(url.set(username=owner).render_as_string(False), 2)
    migration.upgrade(database)
    return database


@pytest.fixture
def of_a_plain_user(postgres: Postgres) -> Iterator[Database]:
    database = owned_by(postgres, "plain", "NOCREATEROLE")
    yield database
    database.close()


@pytest.fixture
def of_a_maker_of_roles(postgres: Postgres) -> Iterator[Database]:
    database = owned_by(postgres, "maker", "CREATEROLE")
    yield database
    database.close()


def assert_stands(database: Database) -> None:
    database.walled_role = wall.role_behind(database)
    assert database.walled_role == f"{database.url.database}_project"
    with within("ours"), database.reading() as session:
        assert bare(session).scalars(sa.select(core(Job).c.id)).all() == ["ours"]  # only policies narrow it
    with database.reading() as session:
        assert projects_seen(session, Job) == set(PROJECTS)


def test_a_migration_builds_it_where_its_user_may(of_a_maker_of_roles: Database) -> None:
    fill(of_a_maker_of_roles)
    assert_stands(of_a_maker_of_roles)


def test_somebody_else_makes_the_role_where_its_user_may_not(
    of_a_plain_user: Database, postgres: Postgres
) -> None:
    database = of_a_plain_user
    fill(database)
    assert wall.role_behind(database) is None
    assert not wall.build(database)
    name = database.url.database
    with psycopg.connect(postgres._server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name}_project NOLOGIN")
        connection.execute(f"GRANT {name}_project TO plain")
    assert wall.role_behind(database) is None  # it may not touch the tables yet
    migration.upgrade(database)
    assert_stands(database)


def test_a_table_without_its_policies_is_a_hole(of_a_maker_of_roles: Database) -> None:
    with of_a_maker_of_roles.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE epochs DISABLE ROW LEVEL SECURITY"))
    assert wall.role_behind(of_a_maker_of_roles) is None


def test_the_server_says_that_it_has_one_wall_only(
    of_a_plain_user: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path, admin_key=SecretStr("an-operators-own-admin-key"))
    with caplog.at_level(logging.WARNING, "app.main"):
        main.prepare(settings, of_a_plain_user)
    assert "row-level security does not stand" in caplog.text


def test_it_comes_down_with_the_schema(of_a_maker_of_roles: Database) -> None:
    fill(of_a_maker_of_roles)
    migration.downgrade(of_a_maker_of_roles, "0002")
    with of_a_maker_of_roles.engine.connect() as connection:
        walled = "SELECT count(*) FROM pg_class WHERE relrowsecurity"
        assert connection.execute(sa.text(walled)).scalar_one() == 0
        assert connection.execute(sa.text("SELECT count(*) FROM pg_policy")).scalar_one() == 0
    migration.upgrade(of_a_maker_of_roles)
    assert wall.role_behind(of_a_maker_of_roles) is not None
