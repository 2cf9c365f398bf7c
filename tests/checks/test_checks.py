"""Each kind of damage is found, told with what it is in and a way out; and nothing else is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from app.architectures.network import to_engine
from app.audit import chain
from app.checks import service
from app.commands import checks
from app.engine.network import initialise
from app.jobs import history, queue
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.states import State
from app.models import parameters as codec
from app.models import records
from app.models.records import Trained
from app.storage import migration
from app.storage.blobs import IN_ROW, Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import AuditEntry, Blob, BlobChunk, Dataset, Epoch, Event, Job, Model, Snapshot
from tests.support.rows import ARCHITECTURE, add_dataset, add_job, epoch, job_row
from tests.support.server import until

EPOCHS = 5


class Sound(NamedTuple):
    database: Database
    blobs: Blobs
    job: str

    def found(self) -> list[str]:
        return [f"{each.what} {each.way_out}" for each in service.findings(self.blobs)]

    def change(self, table: Any, values: dict[str, Any] | None, *where: Any) -> None:
        """Behind the back of everything that would refuse it."""
        plain = core(table)
        statement = sa.delete(plain) if values is None else sa.update(plain).values(values)
        with self.database.engine.execution_options(writing=True).connect() as connection:
            off = (
                "PRAGMA foreign_keys=OFF"
                if self.database.is_sqlite
                else "SET session_replication_role = replica"
            )
            on = (
                "PRAGMA foreign_keys=ON"
                if self.database.is_sqlite
                else "SET session_replication_role = origin"
            )
            connection.exec_driver_sql("COMMIT" if self.database.is_sqlite else "SELECT 1")
            connection.exec_driver_sql(off)
            connection.execute(statement.where(*where))
            if not self.database.is_sqlite:
                connection.commit()
            connection.exec_driver_sql(on)
            connection.commit()


@pytest.fixture
def sound(database: Database, blobs: Blobs) -> Sound:
    """A dataset, one job that has ended with snapshots and a model, one that waits, and a large blob."""
    add_dataset(database, blobs)
    job_id = add_job(database)
    (claim,) = queue.claim(database, "wrk_a", 1, 30.0)
    network = to_engine(ARCHITECTURE)
    states = [initialise(network, seed, "float32") for seed in range(3)]
    places = [
        Place(number, 0, blobs.stage(codec.dump(state)), state.sha256(), kept=True)
        for number, state in zip((1, 2, 5), states, strict=True)
    ]
    rows = [epoch(job_id, number) for number in range(1, EPOCHS + 1)]
    trained = Trained(job_row(database, job_id), states[2], records.stage(blobs, states[2]), {}, EPOCHS)
    end = Ending(State.SUCCEEDED, {"epochs": EPOCHS, "cost": 0.5, "metrics": {}}, model=trained)
    with database.writing() as session:
        history.record(session, blobs, claim, rows=rows, places=places, end=end)
    waiting = add_job(database)
    large = blobs.stage(b"l" * (IN_ROW + 1))
    with database.writing() as session:
        blobs.attach(session, large)
        session.execute(sa.update(Job).where(Job.id == waiting).values(initial_parameters=large.sha256))
    return Sound(database, blobs, job_id)


def test_nothing_is_found_where_nothing_is_wrong(sound: Sound) -> None:
    assert sound.found() == []


def _large(sound: Sound) -> str:
    with sound.database.reading() as session:
        return session.scalars(sa.select(Blob.sha256).where(Blob.data.is_(None))).one()


def _harm_large(sound: Sound) -> None:
    if sound.database.is_sqlite:
        sound.blobs.path(_large(sound)).write_bytes(b"m" * (IN_ROW + 1))
    else:
        sound.change(BlobChunk, {"data": b"m" * (IN_ROW + 1)})


def _lose_large(sound: Sound) -> None:
    if sound.database.is_sqlite:
        sound.blobs.path(_large(sound)).unlink()
    else:
        sound.change(BlobChunk, None)


def _harm_parameters(sound: Sound) -> None:
    """Bytes and row agree, but they are another model's."""
    other = sound.blobs.stage(codec.dump(initialise(to_engine(ARCHITECTURE), 9, "float32")))
    with sound.database.writing() as session:
        sound.blobs.attach(session, other)
        session.execute(sa.update(Snapshot).where(Snapshot.number == 2).values(content=other.sha256))
        session.execute(sa.update(Model).values(parameters=other.sha256))


JOB = (Job.status == "succeeded",)
DAMAGE: dict[str, tuple[Callable[[Sound], None], str]] = {
    "an epoch is lost": (
        lambda s: s.change(Epoch, None, Epoch.epoch == 3),
        "has 4 epochs, numbered from 1 to 5",
    ),
    "the last epoch is lost": (
        lambda s: s.change(Epoch, None, Epoch.epoch == 5),
        "has 4 epochs, and counts 5",
    ),
    "all epochs are lost": (lambda s: s.change(Epoch, None), "has 0 epochs, and counts 5"),
    "an event is lost": (
        lambda s: s.change(Event, None, Event.seq == 1, Event.job_id == s.job),
        "events, numbered",
    ),
    "a result changes": (lambda s: s.change(Job, {"result": {"epochs": 7}}, *JOB), "its result says 7"),
    "a model is lost": (lambda s: s.change(Model, None), "names mdl_"),
    "a dataset is lost": (lambda s: s.change(Dataset, None), "(queued) names ds_of_a_test, which does not"),
    "an end has no time": (lambda s: s.change(Job, {"finished_at": None}, *JOB), "has ended without a time"),
    "a job waits that has ended": (
        lambda s: s.change(Job, {"finished_at": now()}, Job.status == "queued"),
        "has not ended, but has a time",
    ),
    "it failed for nothing": (
        lambda s: s.change(Job, {"status": "failed"}, *JOB),
        "has failed without a reason",
    ),
    "a snapshot is lost": (lambda s: s.change(Snapshot, None, Snapshot.number == 2), "broken at number 2"),
    "the last snapshot is lost": (
        lambda s: s.change(Snapshot, None, Snapshot.number == 3),
        "broken at number 3",
    ),
    "a snapshot changes": (
        lambda s: s.change(Snapshot, {"step": 7}, Snapshot.number == 2),
        "broken at number 2",
    ),
    "its content is lost": (
        lambda s: (
            s.change(Job, {"status": "paused", "finished_at": None, "result": None}, *JOB),
            s.change(Snapshot, {"content": None}, Snapshot.number == 3),
        )[0],
        "has lost the snapshot that it goes on from",
    ),
    "other parameters in a snapshot": (_harm_parameters, "Snapshot 2 of job_"),
    "other parameters in a model": (_harm_parameters, "has other parameters than its hash says"),
    "a model's hash changes": (
        lambda s: s.change(Model, {"sha256": "0" * 64}),
        "has other parameters than its hash",
    ),
    "bytes in a row change": (
        lambda s: s.change(
            Blob, {"data": b"other"}, Blob.sha256 == sa.select(Model.parameters).scalar_subquery()
        ),
        "bytes has 5 others; it is named by mdl_",
    ),
    "large bytes change": (_harm_large, "it is named by job_"),
    "large bytes are lost": (_lose_large, "it is named by job_"),
    "a row is lost that others name": (
        lambda s: s.change(Blob, None, Blob.sha256 == sa.select(Dataset.content).scalar_subquery()),
        "not exist",
    ),
}


IN_ITS_OWN_WAY = (
    *("an epoch is lost", "a snapshot changes", "other parameters in a model"),
    *(
        "bytes in a row change",
        "large bytes change",
        "large bytes are lost",
        "a row is lost that others name",
    ),
)
"""Of Postgres."""


@pytest.fixture(params=DAMAGE)
def what(request: pytest.FixtureRequest, backend: str) -> str:
    name: str = request.param
    if backend == "postgres" and name not in IN_ITS_OWN_WAY:
        pytest.skip("that is the same on both")
    return name


def test_it_finds_that(what: str, sound: Sound) -> None:
    harm, words = DAMAGE[what]
    harm(sound)
    found = sound.found()
    assert any(words in each for each in found), found
    assert all(each.count(". ") >= 1 for each in found), "each has a way out"
    if "parameters" not in what and "blob" not in words:
        assert len(found) <= 3, found


def test_it_finds_a_log_that_somebody_has_changed(sound: Sound) -> None:
    with sound.database.writing() as session:
        for number in range(3):
            entry = {"project_id": "proj_a", "key_id": "key_a", "role": "admin", "action": "job.delete"}
            chain.append(session, {**entry, "object_id": f"job_{number}", "request_id": None, "data": {}})
    assert sound.found() == []
    with sound.database.writing() as session:
        trigger = "DROP TRIGGER audit_changed" + ("" if sound.database.is_sqlite else " ON audit")
        session.execute(sa.text(trigger))
    sound.change(AuditEntry, {"action": "job.create"}, AuditEntry.seq == 2)
    assert any("The audit log, entry 2 of project proj_a" in each for each in sound.found())


def test_it_finds_a_database_of_another_age(sound: Sound) -> None:
    migration.downgrade(sound.database, "0002")
    needed = migration.head()
    assert sound.found() == [f"The schema is 0002, and this program needs {needed}. Run `migrate` first."]
    with sound.database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert sound.found() == ["The schema 9999 is newer than this program's. Check it with that program."]


def test_it_finds_broken_pages(sound: Sound) -> None:
    path = sound.database.path
    if path is None:
        pytest.skip("Postgres's files are not ours")
    sound.database.close()
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content), 997):
        content[place] ^= 0xFF
    path.write_bytes(content)
    assert any("Restore the whole database" in each for each in sound.found())


def test_it_finds_text_that_is_no_json(sound: Sound) -> None:
    if not sound.database.is_sqlite:
        pytest.skip("Postgres takes no such text")
    with sound.database.writing() as session:
        session.execute(sa.text("UPDATE jobs SET training = '{' WHERE status = 'succeeded'"))
    assert any("1 rows of jobs have no JSON in training" in each for each in sound.found())


def test_left_files_are_found_and_taken_away(sound: Sound, capsys: pytest.CaptureFixture[str]) -> None:
    if not sound.database.is_sqlite or sound.database.path is None:
        pytest.skip("Postgres has no files")
    left = sound.blobs.path(sound.blobs.stage(b"x" * (IN_ROW + 2)).sha256)
    assert sound.found() == []
    os.utime(left, (1.0, 1.0))
    (line,) = sound.found()
    assert f"No blob names {left}." in line
    directory: Path = sound.database.path.parent
    checks.check(data_dir=directory, repair=True)
    assert not left.exists()
    assert "Everything is as it was written" in capsys.readouterr().err
    assert until(lambda: sound.found() == [])


def test_the_command_says_what_it_finds_and_fails(sound: Sound, capsys: pytest.CaptureFixture[str]) -> None:
    sound.change(Epoch, None, Epoch.epoch == EPOCHS)
    url = sound.database.url.render_as_string(hide_password=False)
    with pytest.raises(Exception, match="1"):
        checks.check(data_dir=sound.blobs.directory.parent, database_url=url)
    output = capsys.readouterr()
    assert output.out.count("\n") == 1
    assert f"{sound.job} (succeeded) has 4 epochs" in output.out
    assert "1 findings" in output.err
