"""Jobs that start from another job's model."""

from typing import Any

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, XOR, Json, finished, history, made, started, submit, train, upload

pytestmark = pytest.mark.heavy

SIGMOID = {"layers": [{"units": 3, "activation": "sigmoid"}], "output": {"activation": "sigmoid"}}
STILL = {"preset": "paper", "optimizer": {"learning_rate": 5e-324}, "epochs": 1}
"""A step that is below half a unit in the last place of every number: nothing moves."""


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "initial models")


@pytest.fixture(scope="module")
def xor(client: httpx.Client) -> str:
    return str(upload(client, XOR)["id"])


def first(client: httpx.Client, data: str, **options: Any) -> Json:
    training = {"preset": "paper", "epochs": 20, "optimizer": {"learning_rate": 2.0}, **options}
    job = train(client, dataset_id=data, target="y", architecture=SIGMOID, training=training)
    return made(client.get(f"/v1/models/{job['model_id']}"), 200)


@pytest.fixture(scope="module")
def model(client: httpx.Client, xor: str) -> Json:
    return first(client, xor)


def test_it_starts_where_the_model_ended(client: httpx.Client, xor: str, model: Json) -> None:
    job = train(client, dataset_id=xor, target="y", initial_model_id=model["id"], training=STILL)
    assert job["architecture"] == model["architecture"]
    assert job["warnings"] == []
    left = made(client.get(f"/v1/models/{job['model_id']}"), 200)
    assert left["sha256"] == model["sha256"]
    assert history(client, job["id"])[0]["cost"] == pytest.approx(model["cost"], rel=1e-14)


@pytest.mark.parametrize(("there", "here"), [("float64", "float32"), ("float32", "float64")])
def test_the_dtype_is_the_jobs_own(client: httpx.Client, xor: str, there: str, here: str) -> None:
    model = first(client, xor, dtype=there)
    training = {**STILL, "dtype": here}
    job = train(client, dataset_id=xor, target="y", initial_model_id=model["id"], training=training)
    pairs = [
        made(client.get(f"/v1/models/{each}/parameters"), 200)["data"]
        for each in (model["id"], job["model_id"])
    ]
    for before, after in zip(*pairs, strict=True):
        assert after["b"] == pytest.approx(before["b"], rel=1e-6)


def test_an_architecture_of_the_same_shape_may_be_another(
    client: httpx.Client, xor: str, model: Json
) -> None:
    tanh = {"layers": [{"units": 3, "activation": "tanh"}], "output": {"activation": "identity"}}
    body = {"dataset_id": xor, "target": "y", "initial_model_id": model["id"]}
    job = train(client, **body, architecture=tanh, training=STILL)
    assert job["architecture"]["layers"][0]["activation"] == "tanh"
    wider = {"layers": [{"units": 4}], "output": {"activation": "sigmoid"}}
    refused = client.post("/v1/jobs", json={**body, "architecture": wider, "training": STILL})
    problem = assert_problem(refused, 422, "wrong_shape", "initial_model_id")
    assert "2-3-1" in problem["detail"]
    assert "2-4-1" in problem["detail"]


def test_other_columns_of_the_same_number_are_a_warning(client: httpx.Client, model: Json) -> None:
    other = upload(client, XOR.replace("x1,x2,y", "x1,x3,z"))["id"]
    body = {"dataset_id": other, "target": "z", "initial_model_id": model["id"], "training": STILL}
    job = train(client, **body)
    assert [each["code"] for each in job["warnings"]] == ["different_features", "different_targets"]
    narrow = upload(client, LINE)["id"]
    refused = client.post("/v1/jobs", json={**body, "dataset_id": narrow, "target": "y"})
    assert_problem(refused, 422, "wrong_shape", "initial_model_id")


def test_classes_are_compared_by_name(client: httpx.Client) -> None:
    texts = ["x,k\n" + "".join(f"{i},{names[i % 2]}\n" for i in range(20)) for names in ("ab", "ac")]
    data = [upload(client, text)["id"] for text in texts]
    job = train(client, dataset_id=data[0], target="k", training={"epochs": 1})
    for dataset, codes in ((data[0], []), (data[1], ["different_targets"])):
        body = {"dataset_id": dataset, "target": "k", "initial_model_id": job["model_id"]}
        again = train(client, **body, training={"epochs": 1})
        assert [each["code"] for each in again["warnings"]] == codes


def test_integer_classes_are_compared_too(client: httpx.Client) -> None:
    texts = ["x,k\n" + "".join(f"{i},{i % 2 + shift}\n" for i in range(20)) for shift in (0, 5)]
    data = [upload(client, text)["id"] for text in texts]
    job = train(client, dataset_id=data[0], target="k", features=["x"], training={"epochs": 1})
    body = {"target": "k", "features": ["x"], "initial_model_id": job["model_id"]}
    for dataset, codes in ((data[0], set()), (data[1], {"different_targets"})):
        again = train(client, dataset_id=dataset, **body, training={"epochs": 1})
        found = {each["code"] for each in again["warnings"]}
        assert found == {"guessed_classification", *codes}


def test_an_unknown_model_and_anothers_look_the_same(
    server: Server, client: httpx.Client, xor: str, model: Json
) -> None:
    stranger = server.client("write", "strangers to models")
    theirs = upload(stranger, XOR)["id"]
    for who, data, model_id in ((client, xor, "mdl_none"), (stranger, theirs, model["id"])):
        body = {"dataset_id": data, "target": "y", "initial_model_id": model_id, "training": STILL}
        assert_problem(who.post("/v1/jobs", json=body), 404, "not_found", "initial_model_id")


def test_one_start_is_enough(client: httpx.Client, xor: str, model: Json) -> None:
    start = made(client.get(f"/v1/models/{model['id']}/parameters"), 200)["data"]
    body = {"dataset_id": xor, "target": "y", "initial_model_id": model["id"], "training": STILL}
    refused = client.post("/v1/jobs", json={**body, "initial_parameters": start})
    assert_problem(refused, 422, "not_allowed", "initial_model_id")


def test_numbers_beyond_float32_are_refused(client: httpx.Client, xor: str) -> None:
    huge = [{"W": [[1e39, 0.0]], "b": [0.0]}]
    flat = {"layers": [], "output": {"activation": "sigmoid"}}
    body: Json = {"dataset_id": xor, "target": "y"}
    job = train(client, **body, architecture=flat, initial_parameters=huge, training=STILL)
    body |= {"initial_model_id": job["model_id"], "training": {**STILL, "dtype": "float32"}}
    assert_problem(client.post("/v1/jobs", json=body), 422, "not_finite", "initial_model_id")


def test_the_model_may_be_deleted_while_the_job_waits(client: httpx.Client, xor: str) -> None:
    model = first(client, xor, seed=3)
    endless = {"epochs": 10_000_000, "early_stopping": None, "validation_fraction": 0.0}
    busy = [submit(client, dataset_id=xor, target="y", training=endless)["id"] for _ in range(2)]
    for each in busy:
        started(client, each)
    job = submit(client, dataset_id=xor, target="y", initial_model_id=model["id"], training=STILL)
    assert client.delete(f"/v1/models/{model['id']}").status_code == 204
    for each in busy:
        made(client.post(f"/v1/jobs/{each}/cancel"), 202)
    done = finished(client, job["id"])
    assert done["status"] == "succeeded", done["error"]
    left = made(client.get(f"/v1/models/{done['model_id']}"), 200)
    assert left["sha256"] == model["sha256"]
    for each in busy:
        finished(client, each)
