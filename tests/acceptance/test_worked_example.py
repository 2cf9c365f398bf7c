"""The iteration that docs/backprop.md works out, trained and traced as the page says."""

import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.engine import Architecture, Layer, Parameters, trace
from tests.support.server import Server
from tests.support.training import Json, history, made, train, upload

PAGE = (Path(__file__).parents[2] / "docs" / "backprop.md").read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "worked example")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def flat(parameters: list[Json]) -> list[float]:
    return [number for each in parameters for row in [*each["W"], each["b"]] for number in row]


def test_a_job_and_a_trace_give_the_numbers_of_the_page(client: httpx.Client) -> None:
    (csv,), (body, asked) = blocks("csv"), map(json.loads, blocks("json"))
    job = train(client, dataset_id=upload(client, csv)["id"], **body)
    (epoch,) = history(client, job["id"])
    assert f"\nJ {epoch['cost']:.6f}\n" in PAGE
    assert f"`result.cost`, {job['result']['cost']:.6f}." in PAGE

    model = f"/v1/models/{job['model_id']}"
    moved = made(client.get(f"{model}/parameters"), 200)["data"]
    for l, layer in enumerate(moved, 1):
        W, b = [[round(w, 6) for w in row] for row in layer["W"]], [round(b, 6) for b in layer["b"]]
        assert f"\nW{l} {W} b{l} {b}\n" in PAGE

    seen = made(client.post(f"{model}/trace", json=asked), 200)
    assert seen["cost"]["overall"] == pytest.approx(job["result"]["cost"], rel=1e-12)
    assert seen["update"]["lambda"] == 0.1
    network = Architecture(2, (Layer(2, "sigmoid"), Layer(1, "sigmoid")))
    theta = Parameters.of(network, [(each["W"], each["b"]) for each in moved], "float64")
    x, y = np.array(asked["inputs"]), np.array(asked["targets"])
    after = trace(network, theta, x, y, "squared_error", 0.5, 0.1).updated
    expected = [{"W": W.tolist(), "b": b.tolist()} for W, b in after.pairs()]
    assert flat(seen["update"]["parameters"]) == pytest.approx(flat(expected), rel=1e-12)
