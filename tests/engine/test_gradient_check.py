import numpy as np
import pytest

from app import engine
from app.engine import backprop
from app.engine.activations import ACTIVATIONS
from app.engine.network import Array

HIDDEN = [name for name, row in ACTIVATIONS.items() if row.f_prime is not None]
ENDS = [(cost, output) for cost, forms in engine.COSTS.items() for output in forms]


def network(hidden: str, output: str) -> tuple[engine.Architecture, engine.Parameters, Array, Array]:
    layers = (engine.Layer(5, hidden), engine.Layer(4, hidden), engine.Layer(2, output))
    architecture = engine.Architecture(3, layers)
    parameters = engine.initialise(architecture, 1, "float64")
    draw = np.random.default_rng(4)
    for b in parameters.b.values():
        b[...] = draw.uniform(-0.5, 0.5, b.shape)
    x = draw.standard_normal((6, 3))
    y = np.eye(2)[draw.integers(0, 2, 6)] if output == "softmax" else draw.random((6, 2))
    return architecture, parameters, x, y


@pytest.mark.parametrize("lambda_", [0.0, 0.1])
@pytest.mark.parametrize(("cost", "output"), ENDS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_backpropagation_agrees_with_the_slope_of_the_cost(
    hidden: str, cost: str, output: str, lambda_: float
) -> None:
    architecture, parameters, x, y = network(hidden, output)
    if not (ACTIVATIONS[hidden].smooth and ACTIVATIONS[output].smooth):
        z, _ = engine.forward(architecture, parameters, x.T)
        assert min(np.abs(z[l]).min() for l in z) > 1e-4, "choose examples away from the kink"
    assert engine.check_gradient(architecture, parameters, x, y, cost, lambda_).worst <= 1e-7


def test_a_wrong_gradient_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture, parameters, x, y = network("tanh", "identity")
    right = backprop.gradient

    def wrong(*arguments: object) -> engine.Parameters:
        nabla = right(*arguments)  # type: ignore[arg-type]
        nabla.W[2][3, 1] += 1e-5
        return nabla

    monkeypatch.setattr("app.engine.gradient_check.gradient", wrong)
    found = engine.check_gradient(architecture, parameters, x, y, "squared_error")
    assert (found.name, found.at) == ("W2", (3, 1))
    assert found.worst == pytest.approx(1e-5, rel=1e-3)


def test_the_parameters_come_back_unchanged() -> None:
    architecture, parameters, x, y = network("tanh", "identity")
    before = parameters.sha256()
    engine.check_gradient(architecture, parameters, x, y, "squared_error")
    assert parameters.sha256() == before
