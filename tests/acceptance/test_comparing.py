"""Jobs that compare fairly: splits that they share, and the folds of a cross-validation."""

from statistics import fmean, stdev
from typing import Any

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, Json, finished, made, train, upload

QUICK: Json = {"epochs": 3, "early_stopping": None}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "comparing")


@pytest.fixture(scope="module")
def flowers(client: httpx.Client) -> str:
    return str(upload(client, PENGUINS.read_bytes(), "penguins")["id"])


@pytest.fixture(scope="module")
def split(client: httpx.Client, flowers: str) -> Json:
    body = {"dataset_id": flowers, "target": "species", "validation_fraction": 0.2, "seed": 7}
    return made(client.post("/v1/splits", json=body), 201)


def rows_of(client: httpx.Client, path: str) -> Json:
    return made(client.get(path), 200)


def test_jobs_of_one_split_have_its_rows_whatever_their_seed(
    client: httpx.Client, flowers: str, split: Json
) -> None:
    parts = rows_of(client, f"/v1/splits/{split['id']}/rows")
    assert {name: len(parts[name]) for name in split["parts"]} == {
        name: part["rows"] for name, part in split["parts"].items()
    }
    for seed in (1, 2):
        training = {**QUICK, "split_id": split["id"], "seed": seed}
        job = train(client, dataset_id=flowers, target="species", training=training)
        assert rows_of(client, f"/v1/jobs/{job['id']}/split") == parts
        assert (job["training"]["split_seed"], job["training"]["validation_fraction"]) == (7, 0.2)
        manifest = made(client.get(f"/v1/jobs/{job['id']}/manifest"), 200)
        assert manifest["split"] == split["parts"]
        test = made(client.post(f"/v1/models/{job['model_id']}/evaluate", json={"split": "test"}), 200)
        assert test["row_count"] == split["parts"]["test"]["rows"]


def test_models_are_measured_on_the_rows_of_one_split(
    client: httpx.Client, flowers: str, split: Json
) -> None:
    job = train(client, dataset_id=flowers, target="species", training={**QUICK, "seed": 3})
    path = f"/v1/models/{job['model_id']}"
    own = rows_of(client, f"/v1/jobs/{job['id']}/split")
    parts = rows_of(client, f"/v1/splits/{split['id']}/rows")
    for part in ("validation", None):
        body = {"split_id": split["id"], **({"split": part} if part else {})}
        told = made(client.post(f"{path}/evaluate", json=body), 200)
        rows = parts[part or "test"]
        assert (told["split_id"], told["split"], told["row_count"]) == (
            split["id"],
            part or "test",
            len(rows),
        )
        assert told["trained_on"] == len({*rows} & {*own["train"]}) > 0
    kept = made(client.post(f"{path}/evaluations", json={**body, "worst_rows": 1000}), 201)
    assert {each["row"] for each in kept["worst_rows"]} == {*parts["test"]}
    assert {name: kept[name] for name in told} == told
    assert made(client.get(f"{path}/evaluations/{kept['id']}"), 200) == kept
    mine = made(client.post(f"{path}/evaluate", json={"split": "test"}), 200)
    assert (mine["split_id"], mine["trained_on"]) == (None, 0)


def test_a_split_that_is_not_for_the_model_is_refused(
    client: httpx.Client, flowers: str, split: Json
) -> None:
    job = train(client, dataset_id=flowers, target="island", training=QUICK)
    path = f"/v1/models/{job['model_id']}/evaluations"
    for body, status, param in (
        ({"split_id": split["id"]}, 422, "split_id"),
        ({"split_id": split["id"], "dataset_id": "ds_other"}, 422, "dataset_id"),
        ({"split_id": "split_none"}, 404, "split_id"),
    ):
        assert_problem(client.post(path, json=body), status, param=param)


def test_a_dataset_stays_what_its_splits_were_drawn_from(client: httpx.Client) -> None:
    dataset = upload(client, LINE)["id"]
    made(client.post("/v1/splits", json={"dataset_id": dataset, "target": "y"}), 201)
    change = {"columns": {"x": {"type": "category"}}}
    assert_problem(client.patch(f"/v1/datasets/{dataset}", json=change), 409, "wrong_state")


def test_a_split_is_what_a_job_with_its_seed_would_draw(
    client: httpx.Client, flowers: str, split: Json
) -> None:
    training = {**QUICK, "validation_fraction": 0.2, "seed": 7}
    job = train(client, dataset_id=flowers, target="species", training=training)
    parts = rows_of(client, f"/v1/splits/{split['id']}/rows")
    assert rows_of(client, f"/v1/jobs/{job['id']}/split") == parts


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"target": "island"}, "training.split_id"),
        ({"training": {"test_fraction": 0.3}}, "training.test_fraction"),
        ({"training": {"fold": {"index": 0, "of": 3}}}, "training.fold"),
        ({"training": {"split_seed": 1}}, "training.split_seed"),
    ],
)
def test_what_does_not_go_with_a_split_is_refused(
    client: httpx.Client, flowers: str, split: Json, body: Json, param: str
) -> None:
    training = {**body.get("training", {}), "split_id": split["id"]}
    whole = {"dataset_id": flowers, "target": "species", **body, "training": training}
    problem = assert_problem(client.post("/v1/jobs", json=whole), 422)
    assert [each["param"] for each in problem["errors"]] == [param]


def test_a_split_of_other_rows_is_refused(client: httpx.Client, split: Json) -> None:
    line = upload(client, LINE)["id"]
    body = {"dataset_id": line, "target": "y", "training": {"split_id": split["id"]}}
    problem = assert_problem(client.post("/v1/jobs/plan", json=body), 422)
    assert problem["errors"][0]["param"] == "training.split_id"
    nothing = {"dataset_id": line, "target": "y", "test_fraction": 0.6, "validation_fraction": 0.5}
    assert_problem(client.post("/v1/splits", json=nothing), 422)
    assert_problem(client.post("/v1/splits", json={**nothing, "target": "z"}), 422)


def cross_validated(client: httpx.Client, **body: Any) -> Json:
    found = made(client.post("/v1/cross-validations", json=body), 202)
    return made(client.get(f"/v1/cross-validations/{found['id']}", params={"wait": 60}), 200)


def test_the_folds_are_one_object_with_mean_and_spread(client: httpx.Client, flowers: str) -> None:
    found = cross_validated(
        client, dataset_id=flowers, target="species", folds=3, name="three", training=QUICK
    )
    assert (found["status"], found["task"]) == ("succeeded", "classification")
    held_out = [rows_of(client, f"/v1/jobs/{each['job_id']}/split")["test"] for each in found["folds"]]
    assert sorted(row for rows in held_out for row in rows) == list(range(344))
    jobs = [made(client.get(f"/v1/jobs/{each['job_id']}"), 200) for each in found["folds"]]
    assert [job["name"] for job in jobs] == [f"three, fold {n} of 3" for n in (1, 2, 3)]
    figures = [job["result"]["metrics"]["test"]["accuracy"] for job in jobs]
    accuracy = found["metrics"]["accuracy"]
    assert accuracy == {"mean": fmean(figures), "std": stdev(figures), "folds": 3}
    assert [each["metrics"]["accuracy"] for each in found["folds"]] == figures
    assert_problem(client.delete(f"/v1/jobs/{jobs[0]['id']}x"), 404)
    assert client.delete(f"/v1/jobs/{jobs[0]['id']}").status_code == 204
    left = made(client.get(f"/v1/cross-validations/{found['id']}"), 200)
    assert (left["status"], left["folds"][0]["status"]) == ("incomplete", None)
    assert left["metrics"]["accuracy"]["folds"] == 2
    assert client.delete(f"/v1/cross-validations/{found['id']}").status_code == 204
    assert made(client.get(f"/v1/jobs/{jobs[1]['id']}"), 200)["status"] == "succeeded"


def test_cancelling_stops_every_fold(client: httpx.Client, flowers: str) -> None:
    endless = {"epochs": 1_000_000, "early_stopping": None}
    body = {"dataset_id": flowers, "target": "species", "folds": 4, "training": endless}
    found = made(client.post("/v1/cross-validations", json=body), 202)
    path = f"/v1/cross-validations/{found['id']}"
    assert client.post(f"{path}/cancel").status_code == 202
    for each in found["folds"]:
        assert finished(client, each["job_id"])["status"] == "cancelled"
    assert client.post(f"{path}/cancel").status_code == 200
    assert made(client.get(path), 200)["status"] == "cancelled"


def test_a_fold_too_many_leaves_nothing(server: Server, client: httpx.Client, flowers: str) -> None:
    """All of the jobs, or none: the third would be one too many to wait, or the last is refused."""
    admin = server.client("admin", "comparing")
    before = made(client.get("/v1/jobs", params={"limit": 1}), 200)["first_id"]
    made(admin.patch("/v1/projects/comparing", json={"max_queued": 2}), 200)
    try:
        body = {"dataset_id": flowers, "target": "species", "folds": 5, "training": QUICK}
        assert_problem(client.post("/v1/cross-validations", json=body), 429, "too_many_jobs")
    finally:
        made(admin.patch("/v1/projects/comparing", json={"max_queued": None}), 200)
    assert made(client.get("/v1/jobs", params={"limit": 1}), 200)["first_id"] == before
    for name, value in (
        ("fold", {"index": 0, "of": 2}),
        ("test_fraction", 0.2),
        ("split_id", "split_none"),
    ):
        problem = assert_problem(
            client.post("/v1/cross-validations", json={**body, "training": {name: value}}), 422
        )
        assert problem["errors"][0]["param"] == f"training.{name}"
    problem = assert_problem(client.post("/v1/cross-validations", json={**body, "task": "regression"}), 422)
    assert problem["errors"][0]["param"] == "target"


def test_each_fold_has_a_row(client: httpx.Client) -> None:
    rows = [{"x": i, "y": i % 3 * 1.5 if i else None} for i in range(7)]
    dataset = made(client.post("/v1/datasets", json={"rows": rows}), 201)["id"]
    body = {"dataset_id": dataset, "target": "y", "folds": 7}
    problem = assert_problem(client.post("/v1/cross-validations", json=body), 422, param="folds")
    assert "There are 6 rows" in problem["detail"]
    assert made(client.get("/v1/jobs", params={"status": "queued"}), 200)["data"] == []


def test_one_fold_may_be_asked_for_alone(client: httpx.Client, flowers: str) -> None:
    body = {"dataset_id": flowers, "target": "species"}
    plan = made(client.post("/v1/jobs/plan", json={**body, "training": {"fold": {"index": 4, "of": 5}}}), 200)
    assert (plan["training"]["test_fraction"], plan["rows"]["test"]) == (0.2, 68)
    out = {**body, "training": {"fold": {"index": 5, "of": 5}}}
    problem = assert_problem(client.post("/v1/jobs/plan", json=out), 422)
    assert problem["errors"][0]["param"] == "training.fold.index"
