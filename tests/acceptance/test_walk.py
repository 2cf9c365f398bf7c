"""The whole walk of a user: a CSV, a job, a model, answers."""

import itertools
import math

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import PENGUINS, Json, assert_whole, finished, history, log_of, made, submit

ADELIE = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
    "island": "Torgersen",
    "sex": "male",
    "year": 2007,
}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "walk")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> Json:
    with PENGUINS.open("rb") as file:
        response = client.post("/v1/datasets", files={"file": file}, data={"name": "penguins"})
    dataset = made(response, 201)
    assert response.headers["location"] == f"/v1/datasets/{dataset['id']}"
    return dataset


@pytest.fixture(scope="module")
def job(client: httpx.Client, dataset: Json) -> Json:
    """Only a dataset and a target are given."""
    response = client.post("/v1/jobs", json={"dataset_id": dataset["id"], "target": "species"})
    job = made(response, 202)
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["status"] in ("queued", "running")
    return finished(client, job["id"])


@pytest.fixture(scope="module")
def model(client: httpx.Client, job: Json) -> Json:
    return made(client.get(f"/v1/models/{job['model_id']}"), 200)


def test_dataset_is_described(client: httpx.Client, dataset: Json) -> None:
    assert dataset["object"] == "dataset"
    assert (dataset["status"], dataset["name"], dataset["row_count"]) == ("ready", "penguins", 344)
    types = {column["name"]: column["type"] for column in dataset["columns"]}
    assert types["species"] == types["island"] == types["sex"] == "category"
    assert types["bill_length_mm"] == "number"
    assert made(client.get(f"/v1/datasets/{dataset['id']}"), 200) == dataset


def test_dataset_rows_are_read_page_by_page(client: httpx.Client, dataset: Json) -> None:
    path = f"/v1/datasets/{dataset['id']}/rows"
    first = made(client.get(path, params={"limit": 2}), 200)
    assert (first["first_id"], first["last_id"], first["has_more"]) == (0, 1, True)
    assert first["data"][0]["species"] == "Adelie"
    assert first["data"][0]["bill_length_mm"] == 39.1
    last = made(client.get(path, params={"after": 341, "limit": 100}), 200)
    assert (last["first_id"], last["last_id"], last["has_more"]) == (342, 343, False)
    assert client.get(f"/v1/datasets/{dataset['id']}/content").content[:4] == b"PAR1"


def test_same_rows_have_the_same_hash(client: httpx.Client, dataset: Json) -> None:
    headers = {"Content-Type": "text/csv"}
    again = made(client.post("/v1/datasets", content=PENGUINS.read_bytes(), headers=headers), 201)
    assert again["sha256"] == dataset["sha256"]
    assert again["id"] != dataset["id"]
    assert client.delete(f"/v1/datasets/{again['id']}").status_code == 204
    rows = made(client.get(f"/v1/datasets/{dataset['id']}/rows"), 200)
    assert len(rows["data"]) == 20  # the deleted one had the same content


def test_job_succeeds_with_every_epoch(client: httpx.Client, job: Json) -> None:
    assert job["status"] == "succeeded"
    rows = assert_whole(client, job)
    assert job["progress"]["completed"] == len(rows)
    assert job["progress"]["phase"] == "done"
    assert job["result"]["stop_reason"] in ("epochs_completed", "early_stopping")
    assert rows[-1]["cost"] < rows[0]["cost"]
    assert all(row["validation_cost"] is not None and not row["diverged"] for row in rows)
    assert set(job["result"]["metrics"]) == {"train", "validation", "test"}
    assert job["result"]["metrics"]["test"]["accuracy"] > 0.9
    assert job["fingerprint"]["numpy"]


def test_resolution_is_kept_beside_the_request(job: Json, dataset: Json) -> None:
    assert job["requested"] == {"dataset_id": dataset["id"], "target": "species"}
    assert "auto" not in str(job["training"])
    assert job["task"] == "classification"
    assert job["training"]["cost"] == "cross_entropy"
    assert job["architecture"]["output"]["activation"] == "softmax"
    assert job["architecture"]["output"]["units"] == 3
    assert "species" not in job["features"]


def test_history_is_thinned_but_keeps_its_extremes(client: httpx.Client, job: Json) -> None:
    rows = history(client, job["id"])
    path = f"/v1/jobs/{job['id']}/epochs"
    thin = made(client.get(path, params={"max_points": 5}), 200)["data"]
    assert 4 <= len(thin) <= 5
    costs = [row["cost"] for row in rows]
    kept = {row["epoch"]: row for row in thin}
    assert {1, len(rows), 1 + costs.index(min(costs)), 1 + costs.index(max(costs))} <= kept.keys()
    assert all(kept[epoch] == rows[epoch - 1] for epoch in kept)
    assert made(client.get(path, params={"after_epoch": 3, "limit": 2}), 200)["data"] == rows[3:5]


def test_events_tell_the_story_in_order(client: httpx.Client, job: Json) -> None:
    types = [each["type"] for each in log_of(client, job["id"])]
    assert types[:2] == ["job.queued", "job.started"]
    assert {"job.epoch"} <= set(types[2:-1]) <= {"job.epoch", "job.checkpoint"}
    assert types[-1] == "job.succeeded"


def test_model_is_described(client: httpx.Client, job: Json, model: Json) -> None:
    assert model["job_id"] == job["id"]
    assert model["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert [each["name"] for each in model["inputs"]] == job["features"]
    assert model["cost"] == job["result"]["cost"]
    listed = made(client.get("/v1/models", params={"job_id": job["id"]}), 200)
    assert [each["id"] for each in listed["data"]] == [model["id"]]


def test_parameters_have_the_papers_shapes(client: httpx.Client, job: Json, model: Json) -> None:
    layers = made(client.get(f"/v1/models/{model['id']}/parameters"), 200)["data"]
    widths = [job["architecture"]["inputs"]]
    widths += [layer["units"] for layer in [*job["architecture"]["layers"], job["architecture"]["output"]]]
    shapes = [(len(layer["W"]), len(layer["W"][0]), len(layer["b"])) for layer in layers]
    assert shapes == [(out, into, out) for into, out in itertools.pairwise(widths)]
    assert model["parameter_count"] == sum(out * into + out for out, into, _ in shapes)


def test_predictions_have_names_and_probabilities(client: httpx.Client, model: Json) -> None:
    rows = [ADELIE, {**ADELIE, "sex": None}, {**ADELIE, "island": "Atlantis"}]
    answer = made(client.post(f"/v1/models/{model['id']}/predict", json={"rows": rows}), 200)
    assert answer["model_id"] == model["id"]
    assert answer["predictions"][0] == "Adelie"
    for said, shares in zip(answer["predictions"], answer["probabilities"], strict=True):
        assert list(shares) == model["classes"]
        assert math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6)
        assert max(shares, key=shares.__getitem__) == said
    assert [(each["row"], each["param"], each["code"]) for each in answer["warnings"]] == [
        (2, "rows[2].island", "unknown_category")
    ]


def test_columns_that_do_not_fit_are_named(client: httpx.Client, model: Json) -> None:
    path = f"/v1/models/{model['id']}/predict"
    absent = {name: value for name, value in ADELIE.items() if name != "body_mass_g"}
    assert_problem(client.post(path, json={"rows": [absent]}), 422, "missing_column", "rows[0].body_mass_g")
    typo = client.post(path, json={"rows": [{**ADELIE, "iland": "Biscoe"}]})
    problem = assert_problem(typo, 422, "unknown_column", "rows[0].iland")
    assert "island" in problem["errors"][0]["hint"]
    ignored = client.post(path, json={"rows": [{**ADELIE, "species": "Gentoo"}]})
    assert made(ignored, 200)["predictions"] == ["Adelie"]


def test_split_evaluation_and_result_agree(client: httpx.Client, job: Json, model: Json) -> None:
    split = made(client.get(f"/v1/jobs/{job['id']}/split"), 200)
    parts = [split[name] for name in ("train", "validation", "test")]
    assert sorted(row for part in parts for row in part) == list(range(344))
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        body = {"split": name}
        found = made(client.post(f"/v1/models/{model['id']}/evaluate", json=body), 200)
        assert found["row_count"] == len(part)
        told = job["result"]["metrics"][name]
        assert {measure: found["metrics"][measure] for measure in told} == told
    assert found["metrics"]["confusion_matrix"]["labels"] == model["classes"]
    assert sum(map(sum, found["metrics"]["confusion_matrix"]["counts"])) == len(parts[2])
    default = {"dataset_id": model["dataset_id"]}
    again = made(client.post(f"/v1/models/{model['id']}/evaluate", json=default), 200)
    assert again == found


def test_trace_shows_the_papers_numbers(client: httpx.Client, job: Json, model: Json) -> None:
    body = {"rows": [{**ADELIE, "species": "Adelie"}], "learning_rate": 0.5, "weight_decay": 0.0}
    trace = made(client.post(f"/v1/models/{model['id']}/trace", json=body), 200)
    n = len(trace["s"])
    assert [layer["l"] for layer in trace["layers"]] == list(range(1, n + 1))
    assert math.isclose(sum(trace["layers"][-1]["a"][0]), 1.0, abs_tol=1e-12)
    before = made(client.get(f"/v1/models/{model['id']}/parameters"), 200)["data"]
    for layer, nabla, after in zip(before, trace["gradients"], trace["update"]["parameters"], strict=True):
        for b, db, changed in zip(layer["b"], nabla["b"], after["b"], strict=True):
            assert math.isclose(changed, b - 0.5 * db, rel_tol=1e-12, abs_tol=1e-15)
    assert trace["update"]["alpha"] == 0.5
    assert trace["cost"]["overall"] == pytest.approx(trace["cost"]["examples"][0])


def test_everything_is_deleted_but_what_others_need(client: httpx.Client, dataset: Json) -> None:
    job = submit(client, dataset_id=dataset["id"], target="species", training={"epochs": 3})
    job = finished(client, job["id"])
    model_id = job["model_id"]
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert_problem(client.get(f"/v1/jobs/{job['id']}"), 404, "not_found")
    assert made(client.get(f"/v1/models/{model_id}"), 200)["id"] == model_id
    predict = f"/v1/models/{model_id}/predict"
    assert client.post(predict, json={"rows": [ADELIE]}).status_code == 200
    assert client.delete(f"/v1/models/{model_id}").status_code == 204
    assert_problem(client.get(f"/v1/models/{model_id}"), 404, "not_found")


def test_a_dataset_in_use_stays(client: httpx.Client, dataset: Json) -> None:
    own = made(
        client.post("/v1/datasets", content=PENGUINS.read_bytes(), headers={"Content-Type": "text/csv"}), 201
    )
    training = {"epochs": 1_000_000, "early_stopping": None}
    job = submit(client, dataset_id=own["id"], target="species", training=training)
    problem = assert_problem(client.delete(f"/v1/datasets/{own['id']}"), 409, "wrong_state")
    assert "allowed" in problem
    assert_problem(client.delete(f"/v1/jobs/{job['id']}"), 409, "wrong_state")
    assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    finished(client, job["id"])
    assert client.delete(f"/v1/datasets/{own['id']}").status_code == 204
    assert made(client.get(f"/v1/jobs/{job['id']}"), 200)["dataset_sha256"] == own["sha256"]
