"""A job's snapshots and manifest, as a client checks them: each hash computed again from other answers."""

import hashlib
import json
from collections.abc import Callable

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from app.storage.blobs import Blobs
from app.storage.sweep import Sweep
from app.storage.tables import Blob, Snapshot
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import PENGUINS, Json, finished, history, log_of, made, submit, train, upload

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, lease_seconds=5)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "manifests")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> Json:
    return upload(client, PENGUINS.read_bytes(), "penguins")


@pytest.fixture(scope="module")
def job(client: httpx.Client, dataset: Json) -> Json:
    stopping = {"patience": 3, "min_delta": 10.0}
    training = {"epochs": 100, "early_stopping": stopping, "seed": 7}
    return train(client, dataset_id=dataset["id"], target="species", training=training)


def read(client: httpx.Client, job: Json, what: str, **query: int) -> Json:
    return made(client.get(f"/v1/jobs/{job['id']}/{what}", params=query), 200)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_chain_is_what_it_says(client: httpx.Client, job: Json) -> None:
    page = read(client, job, "snapshots")
    rows = page["data"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (1, len(rows), False)
    last = job["result"]["epochs"]
    assert [row["epoch"] for row in rows if row["kept"]] == [1, 2, 4]
    assert last == 4
    before = ""
    for number, row in enumerate(rows, 1):
        assert (row["object"], row["job_id"], row["number"]) == ("snapshot", job["id"], number)
        before = sha256(f"{before}\n{row['sha256']}\n{row['epoch']}\n{row['step']}")
        assert row["chain_sha256"] == before
        assert row["size_bytes"] > 1000 if row["kept"] else row["size_bytes"] is None
    told = [each["data"] for each in log_of(client, job["id"]) if each["type"] == "job.checkpoint"]
    names = {"number": "number", "parameters_sha256": "sha256", "chain_sha256": "chain_sha256"}
    for event, row in zip(told, rows, strict=True):
        assert {name: event[name] for name in names} == {name: row[names[name]] for name in names}
    model = made(client.get(f"/v1/models/{job['model_id']}"), 200)
    assert model["sha256"] in {row["sha256"] for row in rows}  # of the best epoch, the first


def test_snapshots_come_in_pages(client: httpx.Client, job: Json) -> None:
    first = read(client, job, "snapshots", limit=2)
    assert [row["number"] for row in first["data"]] == [1, 2]
    assert first["has_more"] is True
    rest = read(client, job, "snapshots", after=first["last_id"])
    assert [row["number"] for row in rest["data"]][:1] == [3]
    assert rest["has_more"] is False
    nothing = read(client, job, "snapshots", after=1000)
    assert (nothing["data"], nothing["first_id"], nothing["last_id"]) == ([], None, None)
    for query in ({"limit": 0}, {"after": -1}, {"after": "x"}):
        response = client.get(f"/v1/jobs/{job['id']}/snapshots", params=query)
        assert_problem(response, 422, param=next(iter(query)))


def test_the_manifest_is_what_it_says(client: httpx.Client, dataset: Json, job: Json) -> None:
    manifest = read(client, job, "manifest")
    for name in ("task", "target", "features", "architecture", "training", "fingerprint"):
        assert manifest[name] == job[name]
    assert (manifest["object"], manifest["job_id"], manifest["seed"]) == ("manifest", job["id"], 7)
    assert manifest["dataset"] == {"id": dataset["id"], "sha256": dataset["sha256"]}
    assert manifest["initial_parameters_sha256"] is None
    here = made(client.get("/v1"), 200)
    versions = {
        "chainrule": here["version"],
        "numpy": np.__version__,
        "engine": here["fingerprint"]["engine"],
    }
    assert manifest["versions"] == versions
    split = read(client, job, "split")
    parts = {name: np.array(split[name], "<i8") for name in ("train", "validation", "test")}
    assert manifest["split"] == {
        name: {"rows": len(rows), "sha256": hashlib.sha256(rows.tobytes()).hexdigest()}
        for name, rows in parts.items()
    }
    rows = history(client, job["id"])
    for row in rows:
        del row["seconds"]
    compact = json.dumps(rows, separators=(",", ":"), sort_keys=True)
    assert (manifest["epochs"], manifest["history_sha256"]) == (len(rows), sha256(compact))
    newest = read(client, job, "snapshots")["data"][-1]
    assert manifest["snapshots"] == {"count": newest["number"], "chain_sha256": newest["chain_sha256"]}
    model = made(client.get(f"/v1/models/{job['model_id']}"), 200)
    assert manifest["model"] == {"id": model["id"], "sha256": model["sha256"]}


def test_two_runs_of_one_request_have_one_manifest_but_for_their_names(
    client: httpx.Client, dataset: Json, job: Json
) -> None:
    again = train(client, **job["requested"])
    ours, theirs = (read(client, each, "manifest") for each in (job, again))
    for manifest in (ours, theirs):
        del manifest["job_id"], manifest["snapshots"], manifest["model"]["id"]
    assert ours == theirs
    kept = [
        [row["sha256"] for row in read(client, each, "snapshots")["data"] if row["kept"]]
        for each in (job, again)
    ]
    assert kept[0] == kept[1]


def test_a_job_that_has_not_run_has_the_half_of_it(server: Server, client: httpx.Client) -> None:
    data = upload(client, PENGUINS.read_bytes())
    options = {"epochs": 10_000_000, "early_stopping": None}
    busy = submit(client, dataset_id=data["id"], target="species", training=options, priority=9)
    start = [{"W": [[0.5]], "b": [0.0]}]
    line = upload(client, "x,y\n0,1\n1,2\n2,3\n")
    linear = {"architecture": {"layers": []}, "initial_parameters": start, "training": {"preset": "paper"}}
    linear["architecture"] = {"layers": [], "output": {"activation": "identity"}}
    job = submit(client, dataset_id=line["id"], target="y", **linear)
    manifest = read(client, job, "manifest")
    nothing = ("split", "versions", "fingerprint", "history_sha256", "model")
    assert [manifest[name] for name in nothing] == [None] * 5
    assert (manifest["epochs"], manifest["snapshots"]) == (0, {"count": 0, "chain_sha256": None})
    assert len(manifest["initial_parameters_sha256"]) == 64
    for each in (job, busy):
        client.post(f"/v1/jobs/{each['id']}/cancel")
        finished(client, each["id"])


def test_it_stays_when_its_dataset_is_deleted_and_goes_with_its_job(
    server: Server, client: httpx.Client
) -> None:
    data = upload(client, PENGUINS.read_bytes())
    job = train(client, dataset_id=data["id"], target="species", training={"epochs": 3})
    path = f"/v1/jobs/{job['id']}"
    before = client.get(f"{path}/manifest").content
    assert client.delete(f"/v1/datasets/{data['id']}").status_code == 204
    assert client.get(f"{path}/manifest").content == before
    assert len(read(client, job, "snapshots")["data"]) == 3
    with server.database() as database, database.reading() as session:
        held = sa.select(Snapshot.content).where(Snapshot.job_id == job["id"])
        contents = session.scalars(held).all()
        assert all(contents)
    assert client.delete(path).status_code == 204
    assert_problem(client.get(f"{path}/manifest"), 404)
    assert_problem(client.get(f"{path}/snapshots"), 404)
    with server.database() as database:
        with database.reading() as session:
            assert session.scalars(sa.select(Blob.sha256).where(Blob.sha256.in_(contents))).all() == []
        assert Sweep(Blobs(database, server.data_dir / "blobs")).run(0) == 0
