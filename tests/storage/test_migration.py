"""The scripts lead to the schema of tables.py, and back, with data in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.declaring import Table
from app.storage.tables import Alias, Dataset, Job, Model, Snapshot, Upload
from tests.support.rows import add_dataset, add_job, add_model, job_row


@pytest.fixture
def empty(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a schema."""
    url = f"sqlite:///{tmp_path / 'chainrule.sqlite'}"
    if backend == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    database = Database(url, pool_size=2)
    yield database
    database.close()


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def test_the_scripts_lead_to_the_tables(empty: Database) -> None:
    assert migration.is_current(empty) is False
    migration.upgrade(empty)
    assert migration.is_current(empty) is True
    assert migration.current(empty) == migration.head()
    with empty.engine.connect() as connection:
        # SQLite does not tell in which direction an index goes, and so it always seems to differ.
        told = lambda _, name, kind, *__: not (kind == "index" and name == "ix_jobs_line" and empty.is_sqlite)  # noqa: E731
        options = {"compare_type": True, "include_object": told}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []


def test_up_down_up_with_data(empty: Database) -> None:
    migration.upgrade(empty)
    job_id = add_job(empty)
    assert job_row(empty, job_id).status == "queued"
    migration.downgrade(empty, "base")
    assert tables(empty) == {"alembic_version"}
    migration.upgrade(empty)
    assert migration.is_current(empty) is True
    assert add_job(empty) != job_id


def test_what_is_there_counts_after_an_upgrade(empty: Database, tmp_path: Path) -> None:
    migration.upgrade(empty)
    blobs = Blobs(empty, tmp_path / "blobs")
    job_id, other = add_job(empty), add_job(empty)
    model_id = add_model(empty, blobs, b"m" * 70)
    row = {"job_id": job_id, "epoch": 1, "step": 0, "parameters_sha256": "", "chain_sha256": "", "kept": True}
    with empty.writing() as session:
        staged = [blobs.stage(content) for content in (b"a" * 100, b"b" * 200, b"w" * 1000)]
        blobs.attach(session, *staged)
        for number, content in enumerate((staged[0].sha256, staged[1].sha256, None), 1):
            values = {**row, "number": number, "content": content, "created_at": now()}
            session.execute(sa.insert(Snapshot).values(values))
        session.get_one(Job, job_id).initial_parameters = staged[2].sha256
    migration.downgrade(empty, "0002")
    migration.upgrade(empty)
    assert (job_row(empty, job_id).kept_bytes, job_row(empty, other).kept_bytes) == (1300, 0)
    with empty.reading() as session:
        assert session.get_one(Model, model_id).size_bytes == 70


def test_what_is_still_being_read_is_no_dataset_of_an_older_schema(empty: Database, tmp_path: Path) -> None:
    migration.upgrade(empty)
    add_dataset(empty, Blobs(empty, tmp_path / "blobs"))
    with empty.writing() as session:
        (ready,) = session.scalars(sa.select(Dataset))
        project = ready.project_id
        for status in ("processing", "failed"):
            row = {each.key: getattr(ready, each.key) for each in sa.inspect(Dataset).column_attrs}
            session.add(Dataset(**{**row, "id": f"ds_{status}", "status": status, "lease_until": 1.0}))
        session.add(
            Upload(
                id="upl_1", project_id=project, created_by="key", created_at=now(), name=None, labels={},
                shared=False, columns={}, charset=None, size_bytes=5, received=0, sha256=None, host="",
                kept_until=1.0,
            )
        )  # fmt: skip
    migration.downgrade(empty, "0006")
    migration.upgrade(empty)
    with empty.reading() as session:
        assert session.scalars(sa.select(Dataset.id)).all() == [ready.id]
        assert session.scalars(sa.select(Upload.id)).all() == []


def test_an_imported_model_has_no_job_and_a_trained_one_keeps_its_own(
    empty: Database, tmp_path: Path
) -> None:
    migration.upgrade(empty)
    blobs = Blobs(empty, tmp_path / "blobs")
    imported, trained = add_model(empty, blobs, b"imported"), add_model(empty, blobs, b"trained")
    names = ("job_id", "epoch", "dataset_id", "dataset_sha256")
    with empty.writing() as session:
        of_a_job = [getattr(session.get_one(Model, trained), name) for name in names]
        session.execute(sa.update(Model).where(Model.id == imported).values(dict.fromkeys(names)))
        holds = {"project_id": session.get_one(Model, imported).project_id, "created_by": "key"}
        for name, model_id in (("a", imported), ("b", trained)):
            row = {**holds, "name": name, "model_id": model_id, "created_at": now(), "updated_at": now()}
            session.execute(sa.insert(Alias).values(row))
    migration.downgrade(empty, "0007")
    before = sa.text("SELECT job_id, epoch, dataset_id, dataset_sha256 FROM models WHERE id = :id")
    with empty.reading() as session:
        assert list(session.execute(before, {"id": imported}).one()) == ["", 0, "", ""]
        assert list(session.execute(before, {"id": trained}).one()) == of_a_job
    migration.upgrade(empty)
    with empty.reading() as session:
        assert [getattr(session.get_one(Model, imported), name) for name in names] == [None] * 4
        assert [getattr(session.get_one(Model, trained), name) for name in names] == of_a_job
        assert set(session.scalars(sa.select(Alias.name))) == {"a", "b"}


def test_an_upgrade_that_is_not_needed_does_nothing(empty: Database) -> None:
    migration.upgrade(empty)
    job_id = add_job(empty)
    migration.upgrade(empty)
    assert job_row(empty, job_id).id == job_id
    if empty.path is not None:
        assert list(empty.path.parent.glob("*.before-*")) == []


def test_a_schema_of_another_age_is_not_current(empty: Database) -> None:
    migration.upgrade(empty)
    with empty.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert migration.is_current(empty) is False
