"""What is too old goes, by the rules of a deletion; everything else stays."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from app import retention
from app.housekeeping import Housekeeping
from app.retention import Keep
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.tables import Alias, AuditEntry, Dataset, Epoch, Event, Job, Model
from tests.support.rows import add_dataset, add_job, add_model, epoch
from tests.support.server import until

OLD, YOUNG = now() - timedelta(days=31), now() - timedelta(days=29)
MONTH = Keep(30, 30, 30)


def ended(database: Database, finished: Any = OLD, **values: Any) -> str:
    return add_job(database, status="succeeded", finished_at=finished, **values)


def change(database: Database, table: Any, object_id: str, **values: Any) -> None:
    with database.writing() as session:
        session.execute(sa.update(table).where(table.id == object_id).values(**values))


def name_it(database: Database, model_id: str) -> None:
    with database.writing() as session:
        project = session.get_one(Model, model_id).project_id
        row = {"project_id": project, "name": "best", "model_id": model_id, "created_by": "key_a"}
        session.execute(sa.insert(Alias).values(**row, created_at=now(), updated_at=now()))


def left(database: Database, table: Any) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(sa.select(table.id)))


def sweep(blobs: Blobs, keep: Keep = MONTH) -> dict[str, int]:
    swept = retention.sweep(blobs, keep)
    assert swept.all_gone
    return swept.counts


def test_nothing_goes_unless_it_is_said(database: Database, blobs: Blobs) -> None:
    add_dataset(database, blobs)
    change(database, Dataset, "ds_of_a_test", created_at=OLD)
    job = ended(database)
    assert sweep(blobs, Keep()) == {}
    assert sweep(blobs, Keep(jobs_days=32)) == {"jobs": 0}
    assert (left(database, Job), left(database, Dataset)) == ({job}, {"ds_of_a_test"})


def test_old_jobs_go_with_their_history(database: Database, blobs: Blobs) -> None:
    old, young, waits = ended(database), ended(database, YOUNG), add_job(database)
    paused = add_job(database, status="paused", created_at=OLD)
    change(database, Job, old, epochs_completed=1)
    with database.writing() as session:
        session.execute(sa.insert(Epoch).values(epoch(old, 1)))
    assert sweep(blobs) == {"jobs": 1, "models": 0, "datasets": 0}
    assert left(database, Job) == {young, waits, paused}
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Epoch)) == 0
        assert old not in set(session.scalars(sa.select(Event.job_id)))
        (entry,) = session.scalars(sa.select(AuditEntry).where(AuditEntry.action != "project.create"))
        told = (entry.action, entry.object_id, entry.role, entry.key_id)
        assert told == ("job.delete", old, "server", None)


def test_what_an_alias_names_stays_with_the_job_that_made_it(database: Database, blobs: Blobs) -> None:
    job, of_the_other = ended(database), ended(database)
    model, other, young = (add_model(database, blobs, content) for content in (b"a", b"b", b"c"))
    change(database, Model, model, job_id=job, created_at=OLD)
    change(database, Model, other, job_id=of_the_other, created_at=OLD)
    name_it(database, model)
    assert sweep(blobs) == {"jobs": 1, "models": 1, "datasets": 0}
    assert (left(database, Job), left(database, Model)) == ({job}, {model, young})


def test_a_model_stays_as_long_as_its_job_may_go_on(database: Database, blobs: Blobs) -> None:
    job, model = add_job(database, status="paused"), add_model(database, blobs, b"a")
    change(database, Model, model, job_id=job, created_at=OLD)
    assert sweep(blobs)["models"] == 0
    change(database, Job, job, status="cancelled", finished_at=now())
    assert sweep(blobs)["models"] == 1


@pytest.mark.parametrize(
    ("status", "finished", "goes"),
    [("succeeded", OLD, True), ("succeeded", YOUNG, False), ("queued", None, False)],
)
def test_a_dataset_stays_as_long_as_it_is_used(
    database: Database, blobs: Blobs, status: str, finished: Any, goes: bool
) -> None:
    add_dataset(database, blobs)
    add_job(database, status=status, finished_at=finished)
    assert sweep(blobs, Keep(datasets_days=30)) == {"datasets": 0}  # it is young
    change(database, Dataset, "ds_of_a_test", created_at=OLD)
    assert sweep(blobs, Keep(datasets_days=30)) == {"datasets": int(goes)}


@pytest.mark.parametrize(("finished", "goes"), [(OLD, True), (YOUNG, False)])
def test_jobs_that_have_been_deleted_used_it_too(
    database: Database, blobs: Blobs, finished: Any, goes: bool
) -> None:
    add_dataset(database, blobs)
    change(database, Dataset, "ds_of_a_test", created_at=OLD)
    for moment in (finished, OLD - timedelta(days=9)):
        ended(database, moment)
    assert sweep(blobs, Keep(jobs_days=1)) == {"jobs": 2}
    assert sweep(blobs, Keep(datasets_days=30)) == {"datasets": int(goes)}


def test_a_shared_dataset_stays(database: Database, blobs: Blobs) -> None:
    add_dataset(database, blobs)
    change(database, Dataset, "ds_of_a_test", created_at=OLD, shared=True)
    assert sweep(blobs)["datasets"] == 0


def test_one_that_is_tried_again_in_between_stays(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(database)
    writing = database.writing

    def late() -> Any:
        monkeypatch.setattr(database, "writing", writing)
        change(database, Job, job, status="queued", finished_at=None)
        return writing()

    monkeypatch.setattr(database, "writing", late)
    assert sweep(blobs)["jobs"] == 0
    assert left(database, Job) == {job}


def test_very_many_go_some_at_a_time(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(3):
        ended(database)
    add_dataset(database, blobs)
    change(database, Dataset, "ds_of_a_test", created_at=OLD)
    monkeypatch.setattr(retention, "SECONDS", 0.0)
    assert retention.sweep(blobs, MONTH) == ({"jobs": 1}, False)
    monkeypatch.setattr(retention, "SECONDS", 30.0)
    assert sweep(blobs) == {"jobs": 2, "models": 0, "datasets": 1}
    assert sweep(blobs) == {"jobs": 0, "models": 0, "datasets": 0}


def test_a_server_does_so_by_itself(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    """Also what one look leaves."""
    for _ in range(2):
        ended(database)
    disk = Disk(tmp_path, 0)
    housekeeping = Housekeeping(database, blobs, disk, tmp_path, tmp_path / "incoming", keep=MONTH)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention, "SECONDS", 0.0)
        housekeeping.start()
        try:
            until(lambda: left(database, Job) == set(), 20)
        finally:
            housekeeping.over.set()
            housekeeping.join()


@pytest.mark.parametrize("days", [0, -1, math.inf, math.nan, 1e9])
def test_a_number_of_days_is_one_that_a_calendar_has(days: float) -> None:
    with pytest.raises(ValidationError):
        Settings(keep_jobs_days=days)
