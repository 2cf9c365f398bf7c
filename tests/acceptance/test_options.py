"""What training options do: weights, schedules, limits, optimizers, costs, dropout, threads."""

from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, XOR, Json, assert_whole, history, made, train, upload

TANH = {"layers": [{"units": 3, "activation": "tanh"}], "output": {"activation": "sigmoid"}}
START = [
    {"W": [[0.5, -0.25], [1.0, 0.75], [-0.5, 0.125]], "b": [0.1, 0.2, -0.3]},
    {"W": [[0.5, -1.25, 0.75]], "b": [-0.25]},
]
POINTS = [(0.1, 0.9, 0.2), (0.4, 0.3, 0.9), (0.8, 0.5, 0.4), (0.2, 0.2, 0.7), (0.9, 0.1, 0.1)]
TIMES = (1, 3, 0, 2, 1)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "options")


@pytest.fixture(scope="module")
def line(client: httpx.Client) -> str:
    return str(upload(client, LINE)["id"])


def parameters(client: httpx.Client, job: Json) -> list[Any]:
    data = made(client.get(f"/v1/models/{job['model_id']}/parameters"), 200)["data"]
    return [np.array(part) for layer in data for part in (layer["W"], layer["b"])]


def paper(**options: Any) -> Json:
    return {"preset": "paper", "epochs": 30, "optimizer": {"learning_rate": 0.5}, **options}


def assert_same(client: httpx.Client, one: Json, other: Json) -> None:
    costs = [[row["cost"] for row in history(client, job["id"])] for job in (one, other)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)
    for mine, theirs in zip(parameters(client, one), parameters(client, other), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)
    for name in ("cost", "data_cost"):
        assert one["result"][name] == pytest.approx(other["result"][name], rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_weight_counts_as_that_many_rows(client: httpx.Client, decay: float) -> None:
    rows = [f"{a},{b},{y},{k}\n" for (a, b, y), k in zip(POINTS, TIMES, strict=True)]
    repeated = [f"{a},{b},{y}\n" * k for (a, b, y), k in zip(POINTS, TIMES, strict=True)]
    weighted = upload(client, "a,b,y,k\n" + "".join(rows))["id"]
    plain = upload(client, "a,b,y\n" + "".join(repeated))["id"]
    body = {"target": "y", "architecture": TANH, "initial_parameters": START}
    options = paper(weight_decay=decay)
    one = train(client, dataset_id=weighted, **body, training={**options, "sample_weight_column": "k"})
    assert one["features"] == ["a", "b"]
    assert_same(client, one, train(client, dataset_id=plain, **body, training=options))


def test_a_class_weight_counts_as_that_many_rows_of_the_class(client: httpx.Client) -> None:
    points = [(*point[:2], kind) for point, kind in zip(POINTS, "aabab", strict=True)]
    rows = "".join(f"{a},{b},{kind}\n" for a, b, kind in points)
    repeated = "".join(f"{a},{b},{kind}\n" * (3 if kind == "a" else 1) for a, b, kind in points)
    body = {
        "target": "kind",
        "task": "classification",
        "architecture": TANH,
        "initial_parameters": [START[0], {"W": [[0.5, -1.25, 0.75], [0.25, 0.5, -1.0]], "b": [0.0, 0.1]}],
    }
    weighted, plain = (upload(client, f"a,b,kind\n{text}")["id"] for text in (rows, repeated))
    one = train(client, dataset_id=weighted, **body, training=paper(class_weight={"a": 3}))
    assert one["training"]["class_weight"] == {"a": 3.0, "b": 1.0}
    assert_same(client, one, train(client, dataset_id=plain, **body, training=paper()))


def test_balanced_classes_are_resolved_over_the_training_rows(client: httpx.Client) -> None:
    data = upload(client, PENGUINS.read_bytes())["id"]
    job = train(client, dataset_id=data, target="species", training={"class_weight": "balanced", "epochs": 3})
    assert job["requested"]["training"]["class_weight"] == "balanced"
    split = made(client.get(f"/v1/jobs/{job['id']}/split"), 200)["train"]
    lines = PENGUINS.read_text().splitlines()
    species = [lines[0].split(",").index("species")]
    kinds = [lines[1 + row].split(",")[species[0]].strip('"') for row in split]
    expected = {name: len(kinds) / (3 * kinds.count(name)) for name in sorted(set(kinds))}
    assert job["training"]["class_weight"] == pytest.approx(expected, rel=1e-15)


def test_validation_costs_are_weighted_and_metrics_are_not(client: httpx.Client) -> None:
    """Rows that weigh nothing: their targets could be anything, and the costs would not know."""
    text = "".join(f"{i / 10},{i / 5 - 1 if i % 2 else 50 + i % 7},{i % 2}\n" for i in range(60))
    data = upload(client, f"x,y,k\n{text}")["id"]
    options = {
        "sample_weight_column": "k",
        "standardize": False,
        "early_stopping": None,
        "dtype": "float64",
        "epochs": 300,
        "validation_fraction": 0.3,
        "optimizer": {"learning_rate": 0.02},
    }
    job = train(client, dataset_id=data, target="y", features=["x"], training=options)
    assert job["result"]["validation_cost"] < 1.0
    assert job["result"]["metrics"]["validation"]["rmse"] > 20.0


SCHEDULES: list[tuple[Json, list[float]]] = [
    ({"name": "step", "every": 2, "factor": 0.5, "warmup_epochs": 2}, [0.05, 0.1, 0.1, 0.1, 0.05, 0.05]),
    ({"name": "exponential", "factor": 0.5}, [0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125]),
    ({"name": "constant", "warmup_epochs": 4}, [0.025, 0.05, 0.075, 0.1, 0.1, 0.1]),
    (
        {"name": "cosine", "final_learning_rate": 0.02},
        [0.02 + 0.04 * (1 + np.cos(np.pi * t / 5)) for t in range(6)],
    ),
]


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES, ids=[each["name"] for each, _ in SCHEDULES])
def test_a_schedule_sets_each_epochs_learning_rate(
    client: httpx.Client, line: str, schedule: Json, expected: list[float]
) -> None:
    options = {
        "optimizer": {"name": "momentum", "learning_rate": 0.1},
        "learning_rate_schedule": schedule,
        "epochs": 6,
        "early_stopping": None,
    }
    small = {"layers": [{"units": 3, "activation": "tanh"}]}  # which bears such steps
    job = train(client, dataset_id=line, target="y", architecture=small, training=options)
    rates = [row["learning_rate"] for row in history(client, job["id"])]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_plateau_lowers_the_learning_rate(client: httpx.Client) -> None:
    noise = np.random.default_rng(0)
    data = upload(client, "x,y\n" + "".join(f"{x},{noise.normal()}\n" for x in range(50)))["id"]
    schedule = {"name": "plateau", "factor": 0.5, "patience": 2}
    options = {"learning_rate_schedule": schedule, "epochs": 100, "early_stopping": None}
    job = train(client, dataset_id=data, target="y", training=options)
    rates = [row["learning_rate"] for row in history(client, job["id"])]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.001 > rates[-1]
    assert {rate / 0.001 for rate in rates} <= {0.5**k for k in range(60)}


def test_a_step_is_no_longer_than_the_clipped_gradient(client: httpx.Client) -> None:
    data = upload(client, XOR)["id"]
    options = paper(epochs=1, gradient_clip_norm=1e-3)
    job = train(
        client,
        dataset_id=data,
        target="y",
        architecture=TANH,
        initial_parameters=START,
        training=options,
    )
    start = [np.array(part) for layer in START for part in (layer["W"], layer["b"])]
    moved = [after - before for after, before in zip(parameters(client, job), start, strict=True)]
    length = float(np.sqrt(sum((part**2).sum() for part in moved)))
    assert history(client, job["id"])[0]["gradient_norm"] > 0.01
    assert length == pytest.approx(0.5 * 1e-3, rel=1e-9)


def test_a_time_budget_ends_the_job(client: httpx.Client, line: str) -> None:
    options = {"time_budget_seconds": 0.2, "epochs": 20_000, "early_stopping": None}
    job = train(client, dataset_id=line, target="y", training=options)
    rows = assert_whole(client, job)
    assert job["result"]["stop_reason"] == "time_budget"
    assert 0.1 < sum(row["seconds"] for row in rows) < 2.0


def test_lbfgs_says_that_it_has_converged(client: httpx.Client, line: str) -> None:
    straight: Json = {"layers": []}
    options = {"optimizer": {"name": "lbfgs", "tolerance": 1e-6}, "dtype": "float64", "epochs": 500}
    job = train(client, dataset_id=line, target="y", architecture=straight, training=options)
    assert_whole(client, job)
    assert job["training"]["batch_size"] == "full"
    assert job["result"]["stop_reason"] == "converged"
    assert job["result"]["epochs"] < 50
    assert job["result"]["metrics"]["test"]["r2"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", ["nesterov", "rmsprop", "adamw", "lbfgs"])
def test_every_optimizer_learns(client: httpx.Client, line: str, name: str) -> None:
    optimizer = {"name": name} if name == "lbfgs" else {"name": name, "learning_rate": 0.01}
    job = train(client, dataset_id=line, target="y", training={"optimizer": optimizer, "epochs": 60})
    assert_whole(client, job)
    assert job["result"]["metrics"]["train"]["r2"] > 0.9


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "softplus", "silu", "gelu"])
def test_every_activation_learns(client: httpx.Client, line: str, activation: str) -> None:
    architecture = {"layers": [{"units": 8, "activation": activation}]}
    options = {"optimizer": {"learning_rate": 0.01}, "epochs": 200}
    job = train(client, dataset_id=line, target="y", architecture=architecture, training=options)
    assert job["architecture"]["layers"][0]["activation"] == activation
    assert job["result"]["metrics"]["train"]["r2"] > 0.9


def absolute(e: Any) -> tuple[Any, Any]:
    return np.abs(e), np.sign(e)


def huber(e: Any) -> tuple[Any, Any]:
    return np.where(np.abs(e) <= 1, e * e / 2, np.abs(e) - 0.5), np.clip(e, -1, 1)


@pytest.mark.parametrize(("cost", "form"), [("absolute_error", absolute), ("huber", huber)])
def test_costs_that_bear_outliers_are_traced_and_measured(
    client: httpx.Client, line: str, cost: str, form: Any
) -> None:
    options = {"cost": cost, "epochs": 100, "optimizer": {"learning_rate": 0.01}}
    job = train(client, dataset_id=line, target="y", training=options)
    assert job["result"]["metrics"]["test"]["r2"] > 0.8
    path = f"/v1/models/{job['model_id']}"
    body = {"inputs": [[0.5], [-1.0]], "targets": [[0.25], [4.0]]}
    traced = made(client.post(f"{path}/trace", json=body), 200)
    e = np.array(traced["layers"][-1]["a"]) - np.array(body["targets"])
    J, slope = form(e)
    np.testing.assert_allclose(traced["cost"]["examples"], J.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(traced["layers"][-1]["delta"], slope, rtol=1e-14)
    assert "in place of" in traced["equations"]["delta"]
    evaluated = made(client.post(f"{path}/evaluate", json={"split": "train"}), 200)
    assert evaluated["cost"] == pytest.approx(job["result"]["data_cost"], rel=1e-5)
    answer = made(client.post(f"{path}/predict", json={"rows": [{"x": 1.0}]}), 200)
    assert answer["predictions"] == pytest.approx([2.0], abs=1.5)


def test_dropout_is_of_training_alone(client: httpx.Client, line: str) -> None:
    def architecture(dropout: float) -> Json:
        return {"layers": [{"units": 16, "activation": "tanh", "dropout": dropout}]}

    options = {"epochs": 5, "early_stopping": None}
    jobs = [
        train(client, dataset_id=line, target="y", architecture=architecture(share), training=options)
        for share in (0.0, 0.5, 0.5)
    ]
    assert [job["architecture"]["layers"][0]["dropout"] for job in jobs] == [0.0, 0.5, 0.5]
    costs = [[row["cost"] for row in history(client, job["id"])] for job in jobs]
    assert costs[0] != costs[1] == costs[2]
    path = f"/v1/models/{jobs[1]['model_id']}"
    once, again = (made(client.post(f"{path}/predict", json={"rows": [{"x": 1.0}]}), 200) for _ in range(2))
    assert once["outputs"] == again["outputs"]
    evaluated = made(client.post(f"{path}/evaluate", json={"split": "train"}), 200)
    assert evaluated["cost"] == pytest.approx(jobs[1]["result"]["data_cost"], rel=1e-5)


def test_threads_change_no_bit(client: httpx.Client) -> None:
    rows = "".join(f"{i % 97},{i % 89},{(i % 97) * (i % 7)}\n" for i in range(20_000))
    data = upload(client, f"a,b,y\n{rows}")["id"]
    architecture = {"layers": [{"units": 64, "activation": "tanh"}, {"units": 64, "activation": "tanh"}]}
    hashes = set()
    for threads in (1, 2, "auto"):
        options = {"batch_size": 4096, "epochs": 2, "threads": threads}
        job = train(client, dataset_id=data, target="y", architecture=architecture, training=options)
        assert job["training"]["leaves"] >= 1
        assert isinstance(job["training"]["threads"], int)
        hashes.add(made(client.get(f"/v1/models/{job['model_id']}"), 200)["sha256"])
    assert len(hashes) == 1
