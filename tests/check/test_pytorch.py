"""The same training in PyTorch, float64, from the same start: equal costs, parameters and gradients."""

import itertools
from typing import Any

import numpy as np
import pytest

from tests.support.server import Server
from tests.support.training import finished, made, submit, upload

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

SIZES = (3, 5, 4, 2)
ROWS, ITERATIONS, ALPHA, LAMBDA = 40, 200, 0.3, 0.01


def data() -> tuple[Any, Any]:
    draw = np.random.default_rng(1)
    return draw.standard_normal((ROWS, SIZES[0])), draw.uniform(0.1, 0.9, (ROWS, SIZES[-1]))


def start() -> list[dict[str, Any]]:
    draw = np.random.default_rng(2)
    return [
        {"W": draw.standard_normal((rows, columns)).tolist(), "b": draw.standard_normal(rows).tolist()}
        for columns, rows in itertools.pairwise(SIZES)
    ]


def csv(x: Any, y: Any) -> str:
    lines = ["a,b,c,u,v"]
    lines += [",".join(repr(value) for value in [*row, *target]) for row, target in zip(x, y, strict=True)]
    return "\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n"


def network(parameters: list[Any]) -> tuple[list[Any], Any]:
    """torch's tensors, and the network that they make: tanh inside, sigmoid at the end."""
    tensors = [
        (
            torch.tensor(layer["W"], dtype=torch.float64, requires_grad=True),
            torch.tensor(layer["b"], dtype=torch.float64, requires_grad=True),
        )
        for layer in parameters
    ]

    def outputs(x: Any) -> Any:
        for index, (weights, biases) in enumerate(tensors):
            x = x @ weights.T + biases
            x = torch.sigmoid(x) if index == len(tensors) - 1 else torch.tanh(x)
        return x

    return tensors, outputs


def cost_of(tensors: list[Any], outputs: Any, x: Any, y: Any) -> Any:
    decay = sum((weights**2).sum() for weights, _ in tensors)
    return ((outputs(x) - y) ** 2).sum() / (2 * len(x)) + LAMBDA / 2 * decay


def reference() -> tuple[list[float], list[Any]]:
    x, y = (torch.tensor(part, dtype=torch.float64) for part in data())
    tensors, outputs = network(start())
    costs = []
    for _ in range(ITERATIONS):
        cost = cost_of(tensors, outputs, x, y)
        costs.append(float(cost.detach()))
        cost.backward()
        with torch.no_grad():
            for pair in tensors:
                for tensor in pair:
                    tensor -= ALPHA * tensor.grad
                    tensor.grad = None
    return costs, tensors


def trained(server: Server) -> tuple[Any, dict[str, Any]]:
    client = server.client()
    job = submit(
        client,
        dataset_id=upload(client, csv(*data()))["id"],
        target=["u", "v"],
        architecture={
            "layers": [{"units": units, "activation": "tanh"} for units in SIZES[1:-1]],
            "output": {"activation": "sigmoid"},
        },
        initial_parameters=start(),
        training={
            "preset": "paper",
            "epochs": ITERATIONS,
            "weight_decay": LAMBDA,
            "optimizer": {"learning_rate": ALPHA},
        },
    )
    return client, finished(client, job["id"])


def test_two_hundred_iterations_equal_pytorchs(server: Server) -> None:
    client, job = trained(server)
    costs, tensors = reference()
    history = made(client.get(f"/v1/jobs/{job['id']}/epochs"), 200)["data"]
    assert [row["epoch"] for row in history] == list(range(1, ITERATIONS + 1))
    np.testing.assert_allclose([row["cost"] for row in history], costs, rtol=1e-10, atol=0)
    layers = made(client.get(f"/v1/models/{job['model_id']}/parameters"), 200)["data"]
    for layer, (weights, biases) in zip(layers, tensors, strict=True):
        np.testing.assert_allclose(layer["W"], weights.detach().numpy(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(layer["b"], biases.detach().numpy(), rtol=0, atol=1e-9)


def test_the_trace_of_a_row_equals_autograds(server: Server) -> None:
    client, job = trained(server)
    layers = made(client.get(f"/v1/models/{job['model_id']}/parameters"), 200)["data"]
    inputs, targets = ([part[0].tolist()] for part in data())
    body = {"inputs": inputs, "targets": targets, "learning_rate": ALPHA, "weight_decay": LAMBDA}
    trace = made(client.post(f"/v1/models/{job['model_id']}/trace", json=body), 200)
    tensors, outputs = network(layers)
    x, y = torch.tensor(inputs, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64)
    cost = cost_of(tensors, outputs, x, y)
    cost.backward()
    np.testing.assert_allclose(trace["cost"]["overall"], float(cost.detach()), rtol=1e-10)
    for gradient, updated, (weights, biases) in zip(
        trace["gradients"], trace["update"]["parameters"], tensors, strict=True
    ):
        np.testing.assert_allclose(gradient["W"], weights.grad.numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(gradient["b"], biases.grad.numpy(), rtol=1e-10, atol=1e-12)
        expected = (weights - ALPHA * weights.grad).detach().numpy()
        np.testing.assert_allclose(updated["W"], expected, rtol=1e-10, atol=1e-12)
