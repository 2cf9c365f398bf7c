"""Sessions of requests see one project's rows, however they ask; on Postgres the database sees to it, too."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from app.storage import scope, wall
from app.storage.database import Database
from app.storage.declaring import Table, core
from app.storage.scope import Unbound, across, whole_server, within
from app.storage.tables import Alias, Dataset, Epoch, Job, Model, Project
from tests.support.walled import PROJECTS, fill, projects_seen, row_of, walled_classes

APP = Path(__file__).parents[2] / "app"
CLASSES = walled_classes()
APPEND_ONLY = {"audit", "audit_heads"}

SEES_MORE = {
    "app/batches/runner.py: whole_server",  # whose batch is next
    "app/routing.py: bind_to_whole_server",  # routers about the server, for administrators
    "app/documentation/router.py: whole_server",  # one's own key
    "app/following/feed.py: whole_server",  # one reader for all jobs that are followed
    "app/housekeeping.py: whole_server",
    "app/keys/service.py: whole_server",  # whose key it is
    "app/jobs/service.py: across",  # when a shared dataset was used last
    "app/metrics/standing.py: whole_server",
    "app/operations.py: whole_server",  # /readyz, and an administrator's list of workers
    "app/worker/process.py: whole_server",
    "app/audit/chain.py: bare",
    "app/datasets/service.py: across",  # who still uses a shared dataset
    "app/datasets/retyping.py: across",  # the same
    "app/datasets/storing.py: across",  # who else has the same table
    "app/jobs/forecast.py: across",
    "app/jobs/line.py: across",
    "app/storage/blobs.py: across",  # who else has the same bytes
}


@pytest.fixture(scope="module")
def both_projects(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Two projects with a row in each table, in a process that serves requests. Tests leave it as it is."""
    if backend == "sqlite":
        migrated = request.getfixturevalue("migrated_sqlite")
        url = f"sqlite:///{shutil.copy(migrated, tmp_path_factory.mktemp('scope') / 'chainrule.sqlite')}"
    else:
        url = request.getfixturevalue("postgres").new_database(migrated=True)
    database = Database(url, pool_size=4)
    fill(database)
    assert wall.build(database)
    database.serves_requests = True
    yield database
    database.close()


@pytest.fixture
def only_first(both_projects: Database) -> Database:
    both_projects.walled_role = None
    return both_projects


@pytest.fixture
def filled(both_projects: Database) -> Iterator[Database]:
    """Behind both walls, where there are two."""
    both_projects.walled_role = wall.role_behind(both_projects)
    yield both_projects
    both_projects.walled_role = None


@pytest.fixture
def only_second(filled: Database) -> Iterator[Database]:
    if filled.is_sqlite:
        pytest.skip("SQLite has one wall")
    event.remove(scope.ProjectSession, "do_orm_execute", scope._narrow)
    event.remove(scope.ProjectSession, "before_flush", scope._check_objects)
    yield filled
    event.listen(scope.ProjectSession, "do_orm_execute", scope._narrow)
    event.listen(scope.ProjectSession, "before_flush", scope._check_objects)


@pytest.fixture(params=["only_first", "only_second", "filled"])
def walls(request: pytest.FixtureRequest, backend: str) -> Database:
    """Each wall alone, and both."""
    database: Database = request.getfixturevalue(request.param)
    return database


def test_a_query_that_names_no_project_sees_one(walls: Database) -> None:
    for _ in range(2):  # one project's statement is cached when the other's comes
        for project in PROJECTS:
            with within(project), walls.reading() as session:
                for each in CLASSES:
                    assert projects_seen(session, each) == {project}, each
                    assert session.scalars(sa.select(each)).all(), each
                    assert session.scalar(sa.select(sa.func.count()).select_from(each)) == 1, each
                    other = sa.orm.aliased(each)
                    assert len(session.scalars(sa.select(other)).all()) == 1, each


def test_a_look_by_primary_key_sees_one(walls: Database) -> None:
    with within("ours"), walls.reading() as session:
        for each in CLASSES:
            names = [column.name for column in sa.inspect(each).primary_key]
            theirs, ours = (
                tuple(row_of(core(each), project)[name] for name in names) for project in ("theirs", "ours")
            )
            assert session.get(each, theirs) is None, each
            assert session.get(each, ours) is not None, each


def test_a_join_and_a_subquery_see_one(walls: Database) -> None:
    with within("ours"), walls.reading() as session:
        joined = sa.select(Job.project_id, Model.project_id).join(Model, sa.true())
        assert session.execute(joined).all() == [("ours", "ours")]
        of_jobs = sa.select(Model.id).where(Model.job_id.in_(sa.select(Job.id)))
        assert session.scalars(of_jobs).all() == ["ours"]
        theirs = sa.select(sa.exists().where(Job.id == "theirs"))
        assert session.scalar(sa.select(Project.id).where(theirs.scalar_subquery())) is None


def test_a_change_that_names_no_project_changes_one(walls: Database) -> None:
    options = {"synchronize_session": False}
    for table in CLASSES:
        if table.__tablename__ in APPEND_ONLY:
            continue
        key = sa.inspect(table).primary_key[0]
        with within("ours"), walls.reading() as session:  # rolled back
            change = sa.update(table).values({key.name: key}).returning(key)
            assert session.execute(change, execution_options=options).all() == [("ours",)], table
            if table.__tablename__ in ("projects", "jobs", "models", "webhooks"):
                continue  # others name them
            session.execute(sa.delete(table), execution_options=options)
            with across(session):
                assert projects_seen(session, table) == {"theirs"}


def test_nothing_is_written_into_another_project(walls: Database) -> None:
    row = row_of(core(Job), "theirs") | {"id": "new"}
    with within("ours"):
        with pytest.raises((Unbound, DBAPIError)), walls.writing() as session:
            session.execute(sa.insert(core(Job)), row)
        with pytest.raises((Unbound, DBAPIError)), walls.writing() as session:
            session.add(Job(**_attributes(row)))
        with pytest.raises((Unbound, DBAPIError)), walls.writing() as session:
            session.scalars(sa.select(Job)).one().project_id = "theirs"


def _attributes(row: dict[str, Any]) -> dict[str, Any]:
    names = {column.name: key for key, column in sa.inspect(Job).columns.items()}
    return {names[name]: value for name, value in row.items()}


def test_policies_refuse_rows_of_others_jobs(only_second: Database) -> None:
    row = row_of(core(Epoch), "theirs") | {"epoch": 2}
    refused = pytest.raises(DBAPIError, match="row-level security")
    with refused, within("ours"), only_second.writing() as session:
        session.execute(sa.insert(core(Epoch)), row)


def test_a_shared_dataset_is_seen_and_locked_and_not_written(walls: Database) -> None:
    with within("ours"), walls.reading() as session:  # rolled back
        with across(session):
            session.execute(sa.update(Dataset).values(shared=Dataset.id == "theirs"))
        seen = sa.select(Dataset.id).order_by(Dataset.id)
        assert session.scalars(seen).all() == ["ours", "theirs"]
        assert session.scalars(seen.with_for_update()).all() == ["ours", "theirs"]
        session.execute(sa.delete(Dataset), execution_options={"synchronize_session": False})
        assert session.scalars(seen).all() == ["theirs"]
        session.get_one(Dataset, "theirs").name = "mine"
        with pytest.raises((Unbound, DBAPIError)):
            session.flush()


def test_who_serves_requests_says_for_whom(filled: Database) -> None:
    with pytest.raises(Unbound, match="nobody has bound"), filled.reading():
        pass
    with pytest.raises(Unbound, match="nobody has bound"), filled.writing():
        pass
    filled.serves_requests = False
    with filled.reading() as session:
        assert projects_seen(session, Job) == set(PROJECTS)


_jobs, _epochs, _models = core(Job), core(Epoch), core(Model)
_other = _jobs.alias()
_ours = _jobs.c.project_id == "ours"
BARE: dict[str, Any] = {
    "text": sa.text("SELECT 1"),
    "a table": sa.select(_jobs.c.id),
    "a table that is compared otherwise": sa.select(_jobs.c.id).where(_jobs.c.project_id != "ours"),
    "another project": sa.select(_jobs.c.id).where(_jobs.c.project_id == "theirs"),
    "a table beside one": sa.select(_jobs.c.id, _models.c.id).where(_ours),
    "two that name each other": sa.select(_jobs.c.id).where(_jobs.c.project_id == _other.c.project_id),
    "a subquery": sa.select(sa.select(sa.func.count()).select_from(_jobs).scalar_subquery()),
    "a table of rows of jobs": sa.select(_epochs.c.epoch).where(_epochs.c.job_id == "ours"),
    "an update": sa.update(_jobs).where(_jobs.c.id == "ours").values(name="x"),
    "a deletion": sa.delete(_models).where(_models.c.id == "ours"),
    "an insertion of what it reads": sa.insert(_models).from_select(["id"], sa.select(_jobs.c.id)),
}


@pytest.mark.parametrize("statement", BARE.values(), ids=BARE.keys())
def test_a_bare_statement_names_its_project(only_first: Database, statement: Any) -> None:
    with pytest.raises(Unbound), within("ours"), only_first.writing() as session:
        session.execute(statement)
    with whole_server(), only_first.writing() as session:
        session.execute(sa.select(_jobs.c.id))


def test_a_bare_statement_is_checked_each_time(only_first: Database) -> None:
    statement = sa.select(_jobs.c.id).where(_jobs.c.project_id == sa.bindparam("project"))
    linked = sa.select(_models.c.id).where(_models.c.project_id == _jobs.c.project_id, _ours)
    with within("ours"), only_first.reading() as session:
        assert session.scalars(statement, {"project": "ours"}).all() == ["ours"]
        assert session.scalars(linked).all() == ["ours"]
        with pytest.raises(Unbound, match="another project"):
            session.scalars(statement, {"project": "theirs"})
        with pytest.raises(Unbound, match="bare connection"):
            session.connection()


def test_a_session_may_look_across(walls: Database) -> None:
    with within("ours"), walls.reading() as session:
        with across(session):  # before its transaction has begun, too
            assert projects_seen(session, Job) == set(PROJECTS)
        assert projects_seen(session, Job) == {"ours"}
        with across(session), across(session):
            assert projects_seen(session, Job) == set(PROJECTS)
        assert projects_seen(session, Job) == {"ours"}
        session.rollback()
        assert projects_seen(session, Job) == {"ours"}


def test_a_connection_keeps_nothing_of_a_project(filled: Database) -> None:
    for _ in range(3):
        with within("ours"), filled.writing() as session:
            assert projects_seen(session, Alias) == {"ours"}
        with whole_server(), filled.reading() as session:
            assert projects_seen(session, Alias) == set(PROJECTS)


def test_every_table_is_walled_or_nobodys() -> None:
    tables = {each.class_.__tablename__ for each in Table.registry.mappers}
    nobodys = {"blobs", "blob_chunks", "workers"}
    """Bytes are found by a hash that only their owners' rows name; workers work for everybody."""
    assert tables - {each.__tablename__ for each in CLASSES} == nobodys
    for name in nobodys:
        assert not {"project_id", "job_id"} & set(Table.metadata.tables[name].columns.keys())


def test_what_sees_more_than_a_project_is_listed() -> None:
    words = ("bind_to_whole_server", "whole_server", "across", "bare")
    found = set()
    for path in APP.rglob("*.py"):
        if path.name != "scope.py":
            text = path.read_text()
            place = path.relative_to(APP.parent)
            found |= {f"{place}: {word}" for word in words if re.search(rf"\b{word}\(", text)}
    assert found == SEES_MORE
