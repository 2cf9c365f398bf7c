"""What the first version has left is the same, row by row, after every way up and down.

``tests/fixtures/first_schema.tar.xz`` is a backup of a server of the first schema, killed at work: jobs in
every state, two of them with models; beside it is what those predicted then.
"""

import json
import lzma
import os
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.backups import service as backups
from app.backups.archive import Reader
from app.backups.flow import pour
from app.backups.rows import Shape, Tally, encode
from app.backups.seen import Seen
from app.keys.service import Principal
from app.models.warm import WarmModels
from app.predictions import service
from app.predictions.schemas import PredictRequest
from app.storage import migration
from app.storage import view as view_module
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Model
from app.storage.view import view
from tests.support.killing import moments
from tests.support.promises import in_database
from tests.support.rows import another_process
from tests.support.server import COMMAND

FIXTURES = Path(__file__).parents[1] / "fixtures"
KILLS = int(os.environ.get("CHAINRULE_TEST_MIGRATION_KILLS", "6"))
GOES = {"snapshots"}
"""Snapshots of the first schema have no hashes: see the migration to the second."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("first") / "first.tar"
    path.write_bytes(lzma.decompress((FIXTURES / "first_schema.tar.xz").read_bytes()))
    return path


@pytest.fixture
def first(archive: Path, backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Those data, with the newest schema."""
    url = f"sqlite:///{tmp_path / 'chainrule.sqlite'}"
    if backend == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    backups.restore(archive, url, tmp_path / "blobs", lambda *_: None)
    database = Database(url, 2)
    yield database
    database.close()


def recorded() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((FIXTURES / "first_schema.json").read_text())
    return told


def as_written(archive: Path) -> tuple[list[Shape], dict[str, Tally]]:
    """The tables of the first schema, and their rows; but the worker of that time holds nothing any more."""
    with archive.open("rb") as file:
        reader = Reader(file)
        tallies = {shape.name: Tally() for shape in reader.shapes}
        for shape, rows in reader.batches():
            names = [name for name, _ in shape.columns]
            for row in rows:
                if shape.name == "jobs" and row[names.index("status")] == "running":
                    row[names.index("worker_id")], row[names.index("lease_until")] = None, 0.0
            tallies[shape.name].add(map(encode, rows))
        return reader.shapes, tallies


def there(database: Database, shapes: list[Shape], blobs: Path) -> dict[str, Tally]:
    """The rows of those columns."""
    with view(database, blobs) as connection:
        seen = Seen(connection, blobs)
        seen.shapes = shapes
        return pour(seen, None, lambda *_: None).tables


def predicted(database: Database, blobs: Path) -> dict[str, Any]:
    warm, told = WarmModels(database, Blobs(database, blobs)), recorded()
    found = {}
    for model_id in told["predictions"]:
        with database.reading() as session:
            project = session.get_one(Model, model_id).project_id
        loaded = warm.load(Principal("key_a", project, "predict"), model_id)
        answer = json.loads(service.predict(loaded, PredictRequest(rows=_rows(told, loaded)), 10))
        found[model_id] = {name: answer[name] for name in ("predictions", "probabilities", "outputs")}
    return found


def _rows(told: dict[str, Any], model: Any) -> list[dict[str, Any]]:
    names = {feature.name for feature in model.encoding.features}
    rows = [{**row, "species": "Gentoo"} for row in told["rows"]]
    return [{name: value for name, value in row.items() if name in names} for row in rows]


def test_rows_and_predictions_stay_through_up_down_and_up(
    first: Database, archive: Path, tmp_path: Path
) -> None:
    blobs = tmp_path / "blobs"
    shapes, written = as_written(archive)
    kept = {name: tally for name, tally in written.items() if name not in GOES}
    assert sum(tally.rows for tally in kept.values()) > 2500
    before = predicted(first, blobs)
    for model_id, then in recorded()["predictions"].items():
        assert np.allclose(before[model_id]["outputs"], then["outputs"], rtol=1e-5)
    for revision in ("head", "0001", "head", "0002", "head"):
        if revision == "head":
            migration.upgrade(first)
            assert migration.is_current(first)
            assert predicted(first, blobs) == before
        else:
            migration.downgrade(first, revision)
        found = there(first, shapes, blobs) if revision != "0002" else kept
        assert {name: found[name] for name in kept} == kept, revision
    jobs = recorded()["jobs"]
    moving = {jobs["running"], jobs["queued"]}
    wrong = [line for line in in_database(first, Blobs(first, blobs)) if line.split()[0] not in moving]
    assert [line for line in wrong if "snapshot" not in line] == []


def test_several_that_migrate_at_once_do_it_once(first: Database, archive: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    shapes, written = as_written(archive)
    migration.downgrade(first, "0001")
    url = first.url.render_as_string(hide_password=False)
    command = [COMMAND, "migrate", "--data-dir", str(tmp_path), "--database-url", url]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(each.communicate(timeout=60)[1], each.returncode) for each in both] == [("", 0)] * 3
    assert migration.is_current(first)
    found = there(first, shapes, blobs)
    assert {name: found[name] for name in written if name not in GOES} == {
        name: tally for name, tally in written.items() if name not in GOES
    }
    if first.path is not None:
        (copy,) = first.path.parent.glob("*.before-*")
        old = Database(f"sqlite:///{copy}")
        assert migration.current(old) == "0001"
        assert there(old, shapes, blobs) == {**written, "snapshots": Tally()}
        old.close()


def test_one_at_a_time_copies_and_changes_a_file(first: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if not first.is_sqlite:
        pytest.skip("Postgres has a lock of its own")
    migration.downgrade(first, "0001")
    copies, copy = [], view_module.copy

    def slowly(database: Database, destination: Path) -> None:
        copies.append(destination)
        time.sleep(0.3)
        copy(database, destination)

    monkeypatch.setattr(view_module, "copy", slowly)
    with another_process(first) as other, ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(migration.upgrade, database) for database in (first, other)]:
            each.result(30)
    assert len(copies) == 1


@pytest.mark.slow
def test_killed_in_mid_migration_it_is_done_the_next_time(
    first: Database, archive: Path, tmp_path: Path
) -> None:
    shapes, written = as_written(archive)
    kept = {name: tally for name, tally in written.items() if name not in GOES}
    url = first.url.render_as_string(hide_password=False)
    command = ("migrate", "--data-dir", tmp_path, "--database-url", url)
    migration.downgrade(first, "0001")
    count = moments(*command)
    seed = int(os.environ.get("CHAINRULE_TEST_SEED", str(random.randrange(10**6))))
    print(f"{count} moments of a migration, seed {seed}")
    chance = random.Random(seed)
    for at in [count, *(chance.randint(1, count) for _ in range(KILLS))]:
        if migration.current(first) != "0001":
            migration.downgrade(first, "0001")
        first.engine.dispose()
        moments(*command, at=at)
        assert migration.current(first) in ("0001", migration.head())
        subprocess.run([COMMAND, *command], check=True, capture_output=True)
        assert migration.is_current(first)
        found = there(first, shapes, tmp_path / "blobs")
        assert {name: found[name] for name in kept} == kept


def test_a_server_says_what_an_old_schema_needs(first: Database, tmp_path: Path) -> None:
    if first.is_sqlite:
        pytest.skip("a server migrates SQLite by itself")
    migration.downgrade(first, "0002")
    url = first.url.render_as_string(hide_password=False)
    for what in ("serve", "worker"):
        command = [COMMAND, what, "--data-dir", str(tmp_path), "--database-url", url]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert "has the schema 0002, and this program needs" in done.stderr
        assert "run `chainrule-server migrate`" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_newer_schema_is_left_alone(first: Database, tmp_path: Path) -> None:
    with first.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migration.WrongSchema, match="of a newer Chainrule"):
        migration.upgrade(first)
    assert migration.current(first) == "9999"
