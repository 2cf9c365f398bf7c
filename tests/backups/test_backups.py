"""Everything comes back: from a backup, and from one kind of database to the other."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.backups import archive, service
from app.backups.flow import Passed, Refused, pour
from app.backups.seen import Seen
from app.storage import migration
from app.storage.blobs import CHUNK, IN_ROW, Blobs
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.tables import Blob, Epoch, Job, Model, Worker
from app.storage.view import view
from tests.support.promises import in_database
from tests.support.rows import add_dataset, add_job, add_model, epoch, job_row

ODD = (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, None)


@pytest.fixture
def new_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """URLs of new databases of the kind that is named."""

    def make(kind: str) -> str:
        if kind == "postgres":
            return str(request.getfixturevalue("postgres").new_database())
        return f"sqlite:///{tmp_path / 'other' / 'chainrule.sqlite'}"

    return make


@pytest.fixture
def filled(database: Database, blobs: Blobs) -> Database:
    """With rows of many kinds, and blobs of each size."""
    add_dataset(database, blobs)
    large = bytes(range(256)) * (CHUNK // 128)  # two chunks
    add_model(database, blobs, large)
    add_model(database, blobs, b"m" * IN_ROW)
    add_model(database, blobs, b"n" * (IN_ROW + 1))
    job_id = add_job(database, project="größer", name='a "name"\twith\n\\ 😀', labels={"k": "\u2028é"})
    rows = [{**epoch(job_id, number), "cost": cost} for number, cost in enumerate(ODD, 1)]
    rows[0]["metrics"] = {"r2": None, "x": 1e-7}
    with database.writing() as session:
        session.execute(sa.insert(Epoch), rows)
        session.get_one(Job, job_id).epochs_completed = len(rows)
    return database


def seen(database: Database, blobs: Path) -> Passed:
    with view(database, blobs) as connection:
        return pour(Seen(connection, blobs), None, quiet)


def quiet(rows: int, size: int) -> None:
    assert rows >= 0
    assert size >= 0


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("to", ["sqlite", "postgres"])
def test_a_backup_brings_everything_back(
    filled: Database, blobs: Blobs, new_url: Callable[[str], str], tmp_path: Path, to: str
) -> None:
    file, url, there = tmp_path / "backup.tar", new_url(to), tmp_path / "other" / "blobs"
    passed = service.backup(url_of(filled), blobs.directory, file, quiet)
    assert len(passed.blobs) == 2
    assert passed == service.restore(file, url, there, quiet)
    other = Database(url, 2)
    try:
        assert seen(other, there).tables == seen(filled, blobs.directory).tables
        assert [*in_database(other, Blobs(other, there))] == [*in_database(filled, blobs)]
        with other.reading() as session:
            costs = session.scalars(sa.select(Epoch.cost).order_by(Epoch.epoch)).all()
            assert costs == [*ODD]
            (model,) = session.scalars(sa.select(Model).where(Model.size_bytes > CHUNK))
            with filled.reading() as before:
                assert Blobs(other, there).read(session, model.parameters) == blobs.read(
                    before, model.parameters
                )
        assert migration.is_current(other)
    finally:
        other.close()


@pytest.mark.parametrize("to", ["sqlite", "postgres"])
def test_a_copy_is_the_same_and_leaves_the_source_alone(
    filled: Database, blobs: Blobs, new_url: Callable[[str], str], tmp_path: Path, to: str
) -> None:
    before, url = seen(filled, blobs.directory), new_url(to)
    service.copy(url_of(filled), url, quiet)
    assert seen(filled, blobs.directory) == before
    other = Database(url, 2)
    after = seen(other, tmp_path / "other" / "blobs")
    assert (after.tables, after.blobs) == (before.tables, before.blobs)
    other.close()


def test_what_a_worker_held_is_free_elsewhere(
    database: Database, blobs: Blobs, new_url: Callable[[str], str], tmp_path: Path, backend: str
) -> None:
    running = add_job(database, status="running", worker_id="wrk_old", lease_until=4e9, fence=3)
    paused = add_job(database, status="paused")
    with database.writing() as session:
        values = {"id": "wrk_old", "host": "old", "pid": 1, "slots": 1, "busy": 1, "draining": False}
        session.execute(sa.insert(Worker).values(**values, started_at=sa.func.now(), seen_at=clock()))
    file, url = tmp_path / "backup.tar", new_url(backend)
    service.backup(url_of(database), blobs.directory, file, quiet)
    service.restore(file, url, tmp_path / "other" / "blobs", quiet)
    other = Database(url, 2)
    job = job_row(other, running)
    assert (job.status, job.worker_id, job.lease_until, job.fence) == ("running", None, 0.0, 3)
    assert job_row(other, paused).status == "paused"
    with other.reading() as session:
        assert session.scalars(sa.select(Worker.id)).all() == []
    other.close()


def test_it_refuses_what_is_not_empty(filled: Database, blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    service.backup(url_of(filled), blobs.directory, file, quiet)
    before = seen(filled, blobs.directory)
    with pytest.raises(Refused, match="exists: choose another" if filled.is_sqlite else "is not empty"):
        service.restore(file, url_of(filled), blobs.directory, quiet)
    assert seen(filled, blobs.directory) == before
    content = file.read_bytes()
    with pytest.raises(Refused, match=r"backup.tar exists: name another file"):
        service.backup(url_of(filled), blobs.directory, file, quiet)
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.glob("*.partial")] == []


@pytest.mark.parametrize("left", ["-wal", "-journal"])
def test_a_log_that_another_database_left_is_not_taken_for_that_of_the_new_one(
    filled: Database, blobs: Blobs, tmp_path: Path, left: str
) -> None:
    """As where a server was killed, and of its files only the database was moved away."""
    file, path = tmp_path / "backup.tar", tmp_path / "other" / "chainrule.sqlite"
    service.backup(url_of(filled), blobs.directory, file, quiet)
    path.parent.mkdir()
    log = path.with_name(f"{path.name}{left}")
    log.write_bytes(b"")
    service.restore(file, f"sqlite:///{path}", path.parent / "blobs", quiet)
    path.unlink()
    log.write_bytes(b"pages of another database")
    with pytest.raises(Refused, match=f"{path.name}{left}.* move it away"):
        service.restore(file, f"sqlite:///{path}", path.parent / "blobs", quiet)
    assert not path.exists()


def test_no_two_databases_share_a_directory_of_blobs(filled: Database, tmp_path: Path) -> None:
    """Each deletes what it does not name itself."""
    if filled.path is None:
        pytest.skip("Postgres has its blobs inside")
    with pytest.raises(Refused, match="choose another directory"):
        service.copy(url_of(filled), f"sqlite:///{filled.path.with_name('second.sqlite')}", quiet)
    assert not filled.path.with_name("second.sqlite").exists()


def test_a_backup_is_for_its_owner_alone(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    service.backup(url_of(database), blobs.directory, file, quiet)
    assert file.stat().st_mode & 0o777 == 0o600


def test_there_must_be_a_database(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="There is no database"):
        service.backup(f"sqlite:///{tmp_path / 'none.sqlite'}", blobs.directory, tmp_path / "b.tar", quiet)
    assert not (tmp_path / "none.sqlite").exists()
    assert not (tmp_path / "b.tar").exists()


def test_every_kind_of_damage_is_refused(filled: Database, blobs: Blobs, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    if not filled.is_sqlite:
        pytest.skip("an archive is an archive, wherever it comes from")
    file = tmp_path / "backup.tar"
    service.backup(url_of(filled), blobs.directory, file, quiet)
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        members = [(each.name, each.offset_data, each.size) for each in tar.getmembers()]
    assert [name for name, *_ in members][:1] == ["header.json"]
    harmed = {f"cut at {size}": whole[:size] for size in (0, 100, len(whole) // 2, len(whole) - 20_000)}
    for name, start, size in members:
        if name.startswith("rows/") and name.split("/")[1] not in ("blobs", "jobs"):
            continue  # as good as those two
        place = start + size // 2
        harmed[name] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    file.unlink()
    for what, content in harmed.items():
        target = tmp_path / "target"
        file.write_bytes(content)
        with pytest.raises(Refused):
            service.restore(file, f"sqlite:///{target / 'chainrule.sqlite'}", target / "blobs", quiet)
        assert [path.name for path in target.glob("*sqlite*")] == [], what
        shutil.rmtree(target, ignore_errors=True)


def test_a_blob_with_other_bytes_is_not_backed_up(filled: Database, blobs: Blobs, tmp_path: Path) -> None:
    with filled.writing() as session:
        sha256 = session.scalars(sa.select(Blob.sha256).where(Blob.data.is_(None))).first()
        assert sha256 is not None
        if not filled.is_sqlite:
            session.execute(sa.text("UPDATE blob_chunks SET data = 'x' WHERE sha256 = :s"), {"s": sha256})
    if filled.is_sqlite:
        content = blobs.path(sha256).read_bytes()
        blobs.path(sha256).write_bytes(b"x" + content[1:])
    with pytest.raises(Refused):
        service.backup(url_of(filled), blobs.directory, tmp_path / "backup.tar", quiet)
    assert not (tmp_path / "backup.tar").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    archive.Writer(file, {"format": archive.FORMAT + 1, "revision": "0003", "tables": []}).close(Passed({}))
    file.seek(0)
    with pytest.raises(Refused, match="newer Chainrule"):
        archive.Reader(file)
