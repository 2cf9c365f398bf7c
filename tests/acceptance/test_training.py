"""What training promises: the paper's numbers, exact parameters, regression, divergence."""

import json
import math
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import (
    LINE,
    XOR,
    Json,
    assert_whole,
    finished,
    history,
    log_of,
    made,
    submit,
    upload,
)
from tests.support.training import train as trained

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
Y = np.array([[0], [1], [1], [0]], float)
SIGMOID = {"layers": [{"units": 3, "activation": "sigmoid"}], "output": {"activation": "sigmoid"}}
W1 = [[0.1, -0.30000000000000004], [1 / 3, 0.7], [-2.2250738585072014e-308, 1e-17]]
START: list[Json] = [{"W": W1, "b": [0.1, 0.2, 0.3]}, {"W": [[0.5, -1.25, 2 / 3]], "b": [-0.7]}]


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "training")


@pytest.fixture(scope="module")
def xor(client: httpx.Client) -> Json:
    return upload(client, XOR)


def paper_epoch(layers: list[Json], alpha: float) -> tuple[float, list[Json]]:
    """J before, and the parameters after one iteration of (2)-(18) with sigmoids, a row at a time."""
    (W1, b1), (W2, b2) = [(np.array(each["W"]), np.array(each["b"])) for each in layers]
    cost = 0.0
    nabla: list[Any] = [np.zeros_like(W1), np.zeros_like(b1), np.zeros_like(W2), np.zeros_like(b2)]
    for x, y in zip(X, Y, strict=True):
        a2 = 1 / (1 + np.exp(-(W1 @ x + b1)))
        a3 = 1 / (1 + np.exp(-(W2 @ a2 + b2)))
        cost += 0.5 * float(((a3 - y) ** 2).sum()) / len(X)
        delta3 = (a3 - y) * a3 * (1 - a3)
        delta2 = (W2.T @ delta3) * a2 * (1 - a2)
        parts = (np.outer(delta2, x), delta2, np.outer(delta3, a2), delta3)
        nabla = [total + part / len(X) for total, part in zip(nabla, parts, strict=True)]
    W1, b1, W2, b2 = (each - alpha * slope for each, slope in zip((W1, b1, W2, b2), nabla, strict=True))
    return cost, [{"W": W1, "b": b1}, {"W": W2, "b": b2}]


def test_the_paper_preset_computes_the_paper(client: httpx.Client, xor: Json) -> None:
    training = {"preset": "paper", "optimizer": {"learning_rate": 2.0}, "epochs": 5}
    job = trained(
        client,
        dataset_id=xor["id"],
        target="y",
        architecture=SIGMOID,
        initial_parameters=START,
        training=training,
    )
    assert job["task"] == "regression"
    resolved = job["training"]
    assert resolved["optimizer"] == {"name": "gradient_descent", "learning_rate": 2.0}
    assert (resolved["batch_size"], resolved["dtype"], resolved["early_stopping"]) == (
        "full",
        "float64",
        None,
    )
    assert (resolved["validation_fraction"], resolved["test_fraction"]) == (0.0, 0.0)
    rows, layers = history(client, job["id"]), START
    for row in rows:
        cost, layers = paper_epoch(layers, 2.0)
        assert row["cost"] == pytest.approx(cost, rel=1e-14)
    final = made(client.get(f"/v1/models/{job['model_id']}/parameters"), 200)["data"]
    for told, expected in zip(final, layers, strict=True):
        np.testing.assert_allclose(told["W"], expected["W"], rtol=1e-13)
        np.testing.assert_allclose(told["b"], expected["b"], rtol=1e-13)


def test_the_paper_preset_learns_xor(client: httpx.Client, xor: Json) -> None:
    training = {"preset": "paper", "optimizer": {"learning_rate": 5.0}, "epochs": 5000, "seed": 1}
    job = trained(client, dataset_id=xor["id"], target="y", architecture=SIGMOID, training=training)
    assert_whole(client, job)
    body = {"inputs": X.tolist()}
    answer = made(client.post(f"/v1/models/{job['model_id']}/predict", json=body), 200)
    assert [round(each) for each in answer["predictions"]] == [0, 1, 1, 0]
    assert answer["probabilities"] is None


def test_initial_parameters_come_back_to_the_last_bit(client: httpx.Client, xor: Json) -> None:
    """A step of 5e-324 · ∇ is below half a unit in the last place of every number: nothing moves."""
    training = {"preset": "paper", "optimizer": {"learning_rate": 5e-324}, "epochs": 1}
    job = trained(
        client,
        dataset_id=xor["id"],
        target="y",
        architecture=SIGMOID,
        initial_parameters=START,
        training=training,
    )
    data = made(client.get(f"/v1/models/{job['model_id']}/parameters"), 200)["data"]
    assert data == START
    assert data[0]["W"][2][0] == -2.2250738585072014e-308
    assert history(client, job["id"])[0]["cost"] == pytest.approx(paper_epoch(START, 1.0)[0], rel=1e-14)
    assert job["requested"]["initial_parameters"] == START
    again = {"initial_parameters": data, "dataset_id": xor["id"], "target": "y"}
    repeated = trained(client, **again, architecture=SIGMOID, training=training)
    models = [made(client.get(f"/v1/models/{each['model_id']}"), 200) for each in (job, repeated)]
    assert models[0]["sha256"] == models[1]["sha256"]


def test_long_arrays_are_kept_as_shape_and_hash(client: httpx.Client, xor: Json) -> None:
    wide = {"layers": [{"units": 50, "activation": "tanh"}], "output": {"activation": "identity"}}
    start = [{"W": [[0.5, 0.25]] * 50, "b": [0.0] * 50}, {"W": [[0.125] * 50], "b": [0.0]}]
    training = {"preset": "paper", "epochs": 1}
    job = trained(
        client,
        dataset_id=xor["id"],
        target="y",
        architecture=wide,
        initial_parameters=start,
        training=training,
    )
    kept = job["requested"]["initial_parameters"]
    assert kept[0]["W"]["shape"] == [50, 2]
    assert len(kept[0]["W"]["sha256"]) == 64
    assert kept[1]["b"] == [0.0]


def test_a_regression_answers_in_the_targets_units(client: httpx.Client) -> None:
    data = upload(client, LINE)
    training = {"epochs": 400, "optimizer": {"learning_rate": 0.01}, "seed": 3}
    job = trained(client, dataset_id=data["id"], target="y", training=training)
    assert job["task"] == "regression"
    assert job["training"]["cost"] == "squared_error"
    assert job["architecture"]["output"]["activation"] == "identity"
    assert job["result"]["metrics"]["test"]["r2"] > 0.95
    body = {"rows": [{"x": 1.0}, {"x": 4.0}]}
    answer = made(client.post(f"/v1/models/{job['model_id']}/predict", json=body), 200)
    assert answer["predictions"] == pytest.approx([2.0, 11.0], abs=0.7)
    assert answer["probabilities"] is None


def test_several_targets_are_predicted_together(client: httpx.Client) -> None:
    rows = "".join(f"{i % 7 / 2},{i % 7},{-i % 7 / 2}\n" for i in range(40))
    data = upload(client, f"x,u,v\n{rows}")
    job = trained(client, dataset_id=data["id"], target=["u", "v"], training={"epochs": 2})
    assert (job["task"], job["target"], job["features"]) == ("regression", ["u", "v"], ["x"])
    body = {"rows": [{"x": 1.5}]}
    answer = made(client.post(f"/v1/models/{job['model_id']}/predict", json=body), 200)
    assert list(answer["predictions"][0]) == ["u", "v"]


def test_a_guess_from_integers_is_a_warning(client: httpx.Client, xor: Json) -> None:
    training = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    job = trained(client, dataset_id=xor["id"], target="y", training=training)
    assert job["task"] == "classification"
    assert [each["code"] for each in job["warnings"]] == ["guessed_classification"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_bits(client: httpx.Client, dtype: str) -> None:
    data = upload(client, LINE)
    jobs = [
        trained(
            client, dataset_id=data["id"], target="y", training={"epochs": 5, "seed": seed, "dtype": dtype}
        )
        for seed in (7, 7, 8)
    ]
    hashes = [made(client.get(f"/v1/models/{job['model_id']}"), 200)["sha256"] for job in jobs]
    costs = [[row["cost"] for row in history(client, job["id"])] for job in jobs]
    assert hashes[0] == hashes[1] != hashes[2]
    assert costs[0] == costs[1] != costs[2]


@pytest.mark.parametrize("epochs", [1, 50])
def test_divergence_is_a_typed_fact(client: httpx.Client, epochs: int) -> None:
    data = upload(client, LINE)
    training = {
        "optimizer": {"name": "gradient_descent", "learning_rate": 1e30},
        "epochs": epochs,
        "early_stopping": None,
    }
    job = finished(client, submit(client, dataset_id=data["id"], target="y", training=training)["id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == "diverged"
    assert job["error"]["param"] == "training.optimizer.learning_rate"
    assert job["result"]["stop_reason"] == "diverged"
    assert job["result"]["cost"] is None
    rows = assert_whole(client, job)
    assert [row["diverged"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["cost"] is None
    assert all(row["cost"] is not None and math.isfinite(row["cost"]) for row in rows[:-1])
    for path in (f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/epochs", f"/v1/jobs/{job['id']}/events"):
        text = client.get(path).text
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert log_of(client, job["id"])[-1]["data"]["error"]["code"] == "diverged"


def test_early_stopping_keeps_the_best(client: httpx.Client) -> None:
    noise = np.random.default_rng(0)
    rows = "".join(f"{x},{noise.normal()}\n" for x in range(50))
    data = upload(client, f"x,y\n{rows}")
    training = {"epochs": 5000, "early_stopping": {"patience": 3}, "optimizer": {"learning_rate": 0.05}}
    job = trained(client, dataset_id=data["id"], target="y", training=training)
    rows_told = assert_whole(client, job)
    assert job["result"]["stop_reason"] == "early_stopping"
    costs = [row["validation_cost"] for row in rows_told]
    best = job["result"]["best_epoch"]
    assert costs[best - 1] == min(costs)
    assert len(rows_told) == best + 3
    assert job["result"]["validation_cost"] == costs[best - 1]
    assert made(client.get(f"/v1/models/{job['model_id']}"), 200)["epoch"] == best


def test_a_class_of_one_row_each_cannot_be_split_and_trains_all_the_same(client: httpx.Client) -> None:
    data = upload(client, "x,y\n" + "".join(f"{i / 3},{i}\n" for i in range(10)))
    job = finished(client, submit(client, dataset_id=data["id"], target="y", training={"epochs": 3})["id"])
    assert job["status"] == "succeeded", job["error"]
    assert job["training"]["early_stopping"] is None  # there is nothing to validate on
    assert job["result"]["metrics"]["validation"] is None


def test_targets_that_are_never_known_together_are_refused(client: httpx.Client) -> None:
    data = upload(client, "x,a,b\n" + "".join(f"{i},{i},\n{i},,{i}\n" for i in range(1, 20)))
    refused = client.post("/v1/jobs", json={"dataset_id": data["id"], "target": ["a", "b"]})
    assert_problem(refused, 422, "out_of_range", "training.validation_fraction")


def test_a_metric_beyond_float64_is_null(client: httpx.Client) -> None:
    data = upload(client, "x,y\n" + "".join(f"{i},{i % 5}e-161\n" for i in range(40)))
    training = {"standardize": False, "dtype": "float64", "epochs": 3, "early_stopping": None}
    body = {"dataset_id": data["id"], "target": "y", "task": "regression", "training": training}
    job = finished(client, submit(client, **body)["id"])
    assert job["status"] == "succeeded", job["error"]
    rows = client.get(f"/v1/jobs/{job['id']}/epochs").json()["data"]
    assert rows[0]["metrics"]["r2"] is None


def test_a_cancelled_model_names_the_epoch_that_it_has(client: httpx.Client) -> None:
    data = upload(client, LINE)
    stopping = {"patience": 1_000_000, "min_delta": 1e6}  # the first epoch stays the best
    training = {"epochs": 10_000_000, "early_stopping": stopping}
    job = submit(client, dataset_id=data["id"], target="y", training=training)
    until(lambda: len(client.get(f"/v1/jobs/{job['id']}/epochs").json()["data"]) > 200)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    done = finished(client, job["id"])
    model = client.get(f"/v1/models/{done['model_id']}").json()
    if (
        model["epoch"] != done["result"]["epochs"]
    ):  # the trainer answered late and was killed, on a busy machine
        snapshots = client.get(f"/v1/jobs/{job['id']}/snapshots", params={"limit": 100}).json()["data"]
        assert (model["epoch"], model["sha256"]) in [(each["epoch"], each["sha256"]) for each in snapshots]
    assert 1 < model["epoch"] <= done["result"]["epochs"]
    assert done["result"]["best_epoch"] == 1
