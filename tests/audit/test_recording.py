"""Whatever is committed while somebody acts is in the log, in the same transaction, and nothing else is."""

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.audit import chain, recording
from app.audit.acting import SERVER, SERVER_CHAIN, Act, acting, asked
from app.audit.verification import heads, verify
from app.keys import service as keys
from app.keys.service import Principal
from app.projects import service as projects
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.declaring import Owned, Table
from app.storage.tables import Architecture, AuditEntry, AuditHead, Job
from tests.support.rows import add_job, principal


def log(database: Database) -> list[AuditEntry]:
    with database.reading() as session:
        return list(session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id)))


def told(database: Database) -> list[tuple[str, str | None]]:
    return [(each.action, each.object_id) for each in log(database) if each.action != "project.create"]


@contextmanager
def asking(owner: Principal, method: str, template: str, **parameters: str) -> Iterator[None]:
    act = asked(
        method,
        template,
        parameters,
        project_id=owner.project_id,
        role=owner.role,
        key_id=owner.key_id,
        request_id="req-1",
    )
    with acting(act):
        yield


def architecture(owner: Principal, name: str = "a") -> Architecture:
    return Architecture(
        id=new_id("arch"),
        project_id=owner.project_id,
        created_by=owner.key_id,
        created_at=now(),
        name=name,
        labels={},
        layers=[],
        output={},
    )


def make(database: Database, owner: Principal) -> str:
    row = architecture(owner)
    with asking(owner, "POST", "/v1/architectures"), database.writing() as session:
        session.add(row)
    return row.id


@pytest.mark.parametrize(
    ("method", "template", "parameters", "expected"),
    [
        ("POST", "/v1/jobs", {}, ("create", "jobs", None)),
        ("POST", "/v1/jobs/{job_id}/pause", {"job_id": "job_a"}, ("pause", "jobs", "job_a")),
        ("PATCH", "/v1/models/{model_id}", {"model_id": "mdl_a"}, ("update", "models", "mdl_a")),
        ("PUT", "/v1/aliases/{alias}", {"alias": "best"}, ("set", "aliases", "best")),
        ("DELETE", "/v1/keys/{key_id}", {"key_id": "key_a"}, ("delete", "keys", "key_a")),
        ("PATCH", "/v1/projects/{name:path}", {"name": "a/b"}, ("update", "projects", "a/b")),
    ],
)
def test_a_route_says_what_is_done(
    method: str, template: str, parameters: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    act = asked(method, template, parameters, project_id="p", role="write", key_id="k", request_id="r")
    assert (act.verb, act.collection, act.object_id) == expected


def test_an_entry_says_who_did_what_to_which_object(database: Database) -> None:
    owner = principal(database)
    made = make(database, owner)
    entry = log(database)[-1]
    assert (entry.action, entry.object_id, entry.data) == ("architecture.create", made, {})
    assert (entry.project_id, entry.key_id, entry.role) == (owner.project_id, owner.key_id, "write")
    assert entry.request_id == "req-1"
    assert abs((now() - entry.created_at).total_seconds()) < 60


def test_a_change_tells_which_fields_and_none_of_the_users_words(database: Database) -> None:
    owner = principal(database)
    job = add_job(database, name="before")
    with asking(owner, "PATCH", "/v1/jobs/{job_id}", job_id=job), database.writing() as session:
        row = session.get_one(Job, job)
        row.name, row.priority = "secret plan", 7
        session.flush()  # seen in whatever part of the transaction it is written
        row.labels = {"team": "hidden"}
    entry = log(database)[-1]
    assert (entry.action, entry.object_id) == ("job.update", job)
    assert entry.data == {"changed": ["labels", "name", "priority"], "priority": 7}


def test_a_bare_statement_is_logged_by_the_path(database: Database) -> None:
    owner = principal(database)
    job = add_job(database)
    with asking(owner, "DELETE", "/v1/jobs/{job_id}", job_id=job), database.writing() as session:
        session.execute(sa.delete(Job).where(Job.id == job))
    assert told(database) == [("job.delete", job)]


def test_only_the_object_of_the_act_is_told_of(database: Database) -> None:
    owner = principal(database)
    job = add_job(database)
    with asking(owner, "DELETE", "/v1/models/{model_id}", model_id="mdl_a"), database.writing() as session:
        session.get_one(Job, job).model_id = None  # as the deletion of its model does
        session.get_one(Job, job).name = "changed"
    assert told(database) == [("model.delete", "mdl_a")]


def test_what_no_act_names_is_no_entry(database: Database) -> None:
    owner = principal(database)
    with database.writing() as session:  # a worker, say
        session.add(architecture(owner))
    with asking(owner, "POST", "/v1/datasets"), database.writing():  # a part of an upload is put down
        pass
    with asking(owner, "PATCH", "/v1/jobs/{job_id}", job_id="job_a"), database.reading() as session:
        session.scalar(sa.select(Job.id))
    assert told(database) == []


def test_what_is_rolled_back_is_not_in_the_log(database: Database) -> None:
    owner = principal(database)
    before = heads(database)

    def fail() -> None:
        with asking(owner, "POST", "/v1/architectures"), database.writing() as session:
            session.add(architecture(owner))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert told(database) == []
    assert heads(database) == before


def test_nothing_is_done_that_cannot_be_logged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = principal(database)
    monkeypatch.setattr(chain, "digest", lambda *_: None)  # which no entry may be without
    with pytest.raises(DBAPIError):
        make(database, owner)
    with database.reading() as session:
        assert session.scalar(sa.select(Architecture.id)) is None


def test_a_savepoint_is_no_end(database: Database) -> None:
    owner = principal(database)
    job = add_job(database)
    with asking(owner, "PATCH", "/v1/jobs/{job_id}", job_id=job), database.writing() as session:
        with session.begin_nested():
            session.get_one(Job, job).name = "changed"
        session.flush()
    assert told(database) == [("job.update", job)]


def test_threads_that_are_given_the_context_act_too(database: Database) -> None:
    owner = principal(database)
    with asking(owner, "POST", "/v1/architectures"):
        context = contextvars.copy_context()

    def work() -> None:
        with database.writing() as session:
            session.add(architecture(owner))

    thread = threading.Thread(target=context.run, args=(work,))
    thread.start()
    thread.join()
    assert [action for action, _ in told(database)] == ["architecture.create"]


def test_a_key_is_logged_in_its_project_without_its_secret(database: Database) -> None:
    admin = principal(database, "default", "admin")
    with asking(admin, "POST", "/v1/keys"), database.writing() as session:
        key, secret = keys.create(session, name="a", role="read", project="new", created_by=admin.key_id)
    entries = [each for each in log(database) if each.project_id == key.project_id]
    assert [(each.action, each.object_id) for each in entries] == [
        ("project.create", key.project_id),
        ("key.create", key.id),
    ]
    assert entries[1].data == {"role": "read"}
    assert {each.key_id for each in entries} == {admin.key_id}
    written = repr([vars(each) for each in entries])
    assert secret not in written
    assert key.secret_sha256 not in written


def test_what_changes_nothing_is_logged_where_the_object_is(database: Database) -> None:
    """Though it is an administrator of another project who asks for it once more."""
    admin = principal(database, "default", "admin")
    with database.writing() as session:
        key, _ = keys.create(session, name="a", role="read", project="new")
    for _ in range(2):
        with asking(admin, "DELETE", "/v1/keys/{key_id}", key_id=key.id), database.writing() as session:
            keys.revoke(session, key.id)
    for limits in ({"max_queued": None}, {}):
        with asking(admin, "PATCH", "/v1/projects/{name:path}", name="new"), database.writing() as session:
            projects.limit(session, "new", limits)
    entries = [each for each in log(database) if each.key_id == admin.key_id]
    assert {each.project_id for each in entries} == {key.project_id}
    assert [(each.action, each.object_id, each.data) for each in entries] == [
        ("key.delete", key.id, {"role": "read"}),
        ("key.delete", key.id, {"role": "read"}),
        ("project.update", key.project_id, {}),
        ("project.update", key.project_id, {}),
    ]


def test_the_server_signs_for_what_it_does_itself(database: Database) -> None:
    owner = principal(database)
    job = add_job(database)
    with acting(Act("delete", "jobs", SERVER)), database.writing() as session:
        session.delete(session.get_one(Job, job))
    with database.writing() as session:
        recording.note(session, "server.restore", None, {"from": "a backup"})
    first, second = log(database)[-2:]
    assert (first.action, first.object_id, first.project_id) == ("job.delete", job, owner.project_id)
    assert (second.action, second.project_id) == ("server.restore", SERVER_CHAIN)
    assert {(each.role, each.key_id) for each in (first, second)} == {(SERVER, None)}


def test_every_table_of_a_project_has_a_noun() -> None:
    owned = {str(each.local_table) for each in Table.registry.mappers if issubclass(each.class_, Owned)}
    assert owned - recording.NOUNS.keys() == set()
    assert "models" in owned


def test_facts_are_columns_and_no_column_of_the_users() -> None:
    tables: dict[str, Any] = {each.class_.__tablename__: each.class_ for each in Table.registry.mappers}
    for name, facts in recording.FACTS.items():
        assert set(facts) <= {each.key for each in tables[name].__mapper__.column_attrs}
        assert not {"name", "labels", "url", "secret", "secret_sha256", "requested", "columns"} & set(facts)


def test_crowds_leave_chains_without_a_gap(database: Database) -> None:
    owners = [principal(database, name) for name in ("one", "two")]
    before = heads(database)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: make(database, owners[number % 2]), range(40)))
    assert len(set(made)) == 40
    for owner in owners:
        assert heads(database)[owner.project_id].count - before[owner.project_id].count == 20
    assert verify(database) == []


def test_projects_do_not_wait_for_each_other(database: Database) -> None:
    """On Postgres; SQLite has one writer at a time anyway."""
    if database.is_sqlite:
        return
    one, two = principal(database, "one"), principal(database, "two")
    with asking(one, "POST", "/v1/architectures"), database.writing() as session:
        session.add(architecture(one))
        session.flush()
        recording._write(session)  # its chain is locked now, until this transaction ends
        with ThreadPoolExecutor(2) as pool:
            pool.submit(make, database, two).result(5)
            waiting = pool.submit(make, database, one)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            session.commit()
            waiting.result(5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET action = 'nothing'",
        "DELETE FROM audit",
        "UPDATE audit_heads SET count = count - 1",
        "DELETE FROM audit_heads",
    ],
)
def test_the_database_refuses_to_change_the_log(database: Database, statement: str) -> None:
    make(database, principal(database))
    with pytest.raises(DBAPIError, match="append-only"), database.writing() as session:
        session.execute(sa.text(statement))
    assert verify(database) == []


@pytest.mark.parametrize("table", [AuditEntry, AuditHead])
def test_postgres_does_not_empty_the_log(database: Database, table: Any) -> None:
    if database.is_sqlite:  # it has no TRUNCATE: a DELETE without a condition fires the trigger
        return
    with pytest.raises(DBAPIError, match="append-only"), database.writing() as session:
        session.execute(sa.text(f"TRUNCATE {table.__tablename__}"))
