"""The checker sees each broken promise: otherwise it would say nothing when a fault breaks one."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app import engine
from app.jobs import snapshots
from app.storage.blobs import Blobs
from app.storage.columns import clock
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.sweep import Sweep
from app.storage.tables import Blob, Epoch, Event, Job, Model, Snapshot
from tests.support.checker import check, control_of, violations
from tests.support.promises import Control, in_database
from tests.support.recorder import Recorder
from tests.support.server import Server
from tests.support.training import LINE, Json, history, log_of, made, train, upload

pytestmark = pytest.mark.heavy


class Scene(NamedTuple):
    """A server with one job that was trained, and all that its client was told of it."""

    server: Server
    database: Database
    blobs: Blobs
    recorder: Recorder
    job: Json
    control: Control


@pytest.fixture(scope="module")
def scene(new_server: Callable[..., Server]) -> Iterator[Scene]:
    server, recorder = new_server(snapshot_seconds=0.01), Recorder()
    with recorder.client(server) as client, server.database() as database:
        dataset = upload(client, LINE)
        body = {"dataset_id": dataset["id"], "target": "y"}
        job = train(client, **body, training={"epochs": 300, "batch_size": 1, "early_stopping": None})
        made(client.get(f"/v1/models/{job['model_id']}"), 200)
        history(client, job["id"])
        log_of(client, job["id"])
        blobs = Blobs(database, server.data_dir / "blobs")
        yield Scene(server, database, blobs, recorder, job, control_of(server, job["id"]))


@contextlib.contextmanager
def changed(scene: Scene, table: Any, where: Any, values: dict[str, Any] | None) -> Iterator[None]:
    """One row with other values, or without it, and as it was at the end."""
    plain = core(table)
    with scene.database.writing() as session:
        before = dict(session.execute(sa.select(plain).where(where).limit(1)).mappings().one())
        same = sa.and_(*(column == before[column.name] for column in plain.primary_key.columns))
        session.execute(
            sa.delete(plain).where(same) if values is None else sa.update(plain).where(same).values(values)
        )
    try:
        yield
    finally:
        scene.recorder.violations.clear()
        with scene.database.writing() as session:
            if values is None:
                session.execute(sa.insert(plain).values(before))
            else:
                session.execute(sa.update(plain).where(same).values({name: before[name] for name in values}))


def test_it_finds_nothing_wrong_with_an_undisturbed_run(scene: Scene) -> None:
    check(scene.server, scene.recorder, {scene.job["id"]: scene.control}, grace_seconds=0)
    assert scene.recorder.answers > 5
    assert scene.control.sha256 is not None
    assert len(scene.control.rows) == 300


DAMAGE: dict[str, tuple[Any, Any, dict[str, Any] | None, str]] = {
    "an epoch is lost": (Epoch, Epoch.epoch == 7, None, "has 299 epochs, from 1 to 300"),
    "the last epoch is lost": (Epoch, Epoch.epoch == 300, None, "and counts 300"),
    "an epoch changes": (Epoch, Epoch.epoch == 7, {"cost": 7.0}, "undisturbed one from epoch 7 on"),
    "an epoch that was told changes": (Epoch, Epoch.epoch == 7, {"cost": 7.0}, "client was told: [7]"),
    "an event is lost": (Event, Event.seq == 2, None, "has events [1, 3"),
    "epochs are told twice": (
        Event, Event.type == "job.epoch", {"data": {"first_epoch": 9, "last_epoch": 9}}, "has told epochs [",
    ),
    "a second ending": (Event, Event.seq == 2, {"type": "job.failed"}, "has the endings ['job.failed'"),
    "an epoch comes out differently": (Event, Event.seq == 2, {"message": "… differently …"}, "event 2: …"),
    "a job is stuck": (Job, True, {"status": "running", "lease_until": clock() + 60.0}, "stuck at epoch 300"),
    "a lease is left": (Job, True, {"lease_until": clock() + 60.0}, "still leased"),
    "an ending changes": (Job, True, {"status": "failed", "error": {}}, "status is failed, and undisturbed"),
    "the chain breaks": (Snapshot, Snapshot.number == 1, {"epoch": 1_999_999}, "snapshot 1 breaks the chain"),
    "a snapshot is lost": (Snapshot, Snapshot.number == 1, None, "snapshot 1 breaks the chain"),
    "a model is lost": (Model, True, None, "is not the model that a client was shown"),
    "a model changes": (Model, True, {"sha256": "0" * 64}, "is not the model that a client was shown"),
    "a model has other bits": (Model, True, {"sha256": "0" * 64}, "sha256 is 0000"),
    "bytes change": (Blob, Blob.size > 100, {"data": b"other"}, "bytes has 5 others"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_it_sees_that(scene: Scene, what: str) -> None:
    table, where, values, words = DAMAGE[what]
    with changed(scene, table, sa.true() if where is True else where, values):
        found = violations(scene.server, scene.recorder, {scene.job["id"]: scene.control})
    assert any(words in each for each in found), found


def test_it_sees_a_snapshot_with_other_parameters(scene: Scene) -> None:
    last = Snapshot.number == sa.select(sa.func.max(Snapshot.number)).scalar_subquery()
    with scene.database.writing() as session:
        job = session.get_one(Job, scene.job["id"])
        content = snapshots.dump(engine.Snapshot.start(snapshots.plan_of(job, 42)), job.id, 1)
        staged = scene.blobs.stage(content)
        scene.blobs.attach(session, staged)
    with changed(scene, Snapshot, last, {"content": staged.sha256}):
        found = [*in_database(scene.database, scene.blobs)]
    assert len(found) == 1
    assert "holds other parameters than its row says" in found[0]


def test_it_sees_bytes_that_nothing_names(scene: Scene) -> None:
    scene.blobs.stage(b"nobody names this" * 20_000)
    assert [*in_database(scene.database, scene.blobs)] == []
    found = [*in_database(scene.database, scene.blobs, grace_seconds=0)]
    assert len(found) == 1
    assert ("nothing names it" if scene.database.is_sqlite else "chunks are left") in found[0]
    sweep = Sweep(scene.blobs)
    for _ in range(2):  # chunks go when they were seen without a name twice
        sweep.run(0)
    assert [*in_database(scene.database, scene.blobs, grace_seconds=0)] == []


ANSWERS: dict[str, tuple[httpx.Response, str]] = {
    "a 500": (httpx.Response(500, text="oh"), "answered 500"),
    "a 503 without a word on when": (httpx.Response(503, json={}), "without Retry-After"),
    "a NaN": (
        httpx.Response(200, content=b'{"cost": NaN}', headers={"content-type": "application/json"}),
        "no strict JSON",
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_the_recorder_hears(what: str) -> None:
    response, words = ANSWERS[what]
    recorder = Recorder()
    transport = httpx.MockTransport(lambda _: response)
    with recorder.listen(httpx.Client(transport=transport, base_url="http://test")) as client:
        client.get("/v1/jobs")
    assert len(recorder.violations) == 1
    assert words in recorder.violations[0]


def test_the_recorder_hears_two_endings_and_two_objects_of_one_key(scene: Scene) -> None:
    recorder = Recorder()
    answers = [
        {"object": "job", "id": "job_1", "status": status, "result": None, "error": None, "model_id": None,
         "finished_at": None}
        for status in ("succeeded", "cancelled", "running")
    ]  # fmt: skip
    made_twice = [{"object": "dataset", "id": f"ds_{number}"} for number in (1, 2)]
    bodies = iter([*answers, *made_twice])
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200 if request.method == "GET" else 201, json=next(bodies))
    )
    with recorder.listen(httpx.Client(transport=transport, base_url="http://test")) as client:
        for _ in answers:
            client.get("/v1/jobs/job_1")
        for _ in made_twice:
            client.post("/v1/datasets", json={"name": "once"}, headers={"Idempotency-Key": "k"})
    assert ["said" in each for each in recorder.violations] == [True, True]
    found = violations(scene.server, recorder)
    assert any("with one key (k) has made ['ds_1', 'ds_2']" in each for each in found)
    assert any("dataset ds_2 was acknowledged and is gone" in each for each in found)
