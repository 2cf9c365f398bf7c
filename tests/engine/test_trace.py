import numpy as np
import pytest

from app import engine
from app.engine.costs import COSTS
from app.engine.memory import Array

ENDS = [("squared_error", "tanh"), ("cross_entropy", "softmax"), ("cross_entropy", "sigmoid")]


def network(output: str) -> tuple[engine.Architecture, engine.Parameters, Array, Array]:
    architecture = engine.Architecture(3, (engine.Layer(4, "tanh"), engine.Layer(2, output)))
    draw = np.random.default_rng(0)
    y = np.eye(2)[[0, 1, 1]]
    return architecture, engine.initialise(architecture, 0, "float32"), draw.standard_normal((3, 3)), y


@pytest.mark.parametrize(("cost", "output"), ENDS)
def test_gradients_are_finite_differences_of_the_traced_cost(cost: str, output: str) -> None:
    architecture, parameters, x, y = network(output)
    theta = parameters.astype("float64")
    seen = engine.trace(architecture, parameters, x, y, cost, 0.1, 0.3)
    for (name, array), (_, nabla) in zip(theta.named(), seen.nabla.named(), strict=True):
        for at in np.ndindex(array.shape):
            kept, costs = array[at], []
            for array[at] in (kept + 1e-6, kept - 1e-6):
                costs.append(engine.trace(architecture, theta, x, y, cost, 0.1, 0.3).cost)
            array[at] = kept
            assert (costs[0] - costs[1]) / 2e-6 == pytest.approx(nabla[at], abs=1e-8), (name, at)


@pytest.mark.parametrize(("cost", "output"), ENDS)
def test_each_number_follows_from_the_ones_before_it(cost: str, output: str) -> None:
    architecture, parameters, x, y = network(output)
    theta = parameters.astype("float64")
    seen = engine.trace(architecture, parameters, x, y, cost, 0.1, 0.3)
    np.testing.assert_array_equal(seen.a[1], x)
    for l in (1, 2):
        np.testing.assert_allclose(seen.z[l + 1], seen.a[l] @ theta.W[l].T + theta.b[l].T)
    np.testing.assert_allclose(seen.a[2], np.tanh(seen.z[2]))
    hidden = seen.f_prime[2]
    assert hidden is not None
    np.testing.assert_allclose(hidden, 1 - seen.a[2] ** 2)
    np.testing.assert_allclose(seen.delta[2], seen.delta[3] @ theta.W[2] * hidden)
    last = seen.f_prime[3]
    assert (last is None) == (cost == "cross_entropy")
    np.testing.assert_allclose(seen.delta[3], (seen.a[3] - y) * (1.0 if last is None else last))
    np.testing.assert_allclose(seen.costs, COSTS[cost][output].examples(seen.a[3].T, y.T))
    assert seen.cost == pytest.approx(seen.costs.mean() + 0.15 * theta.squared_weights())
    np.testing.assert_allclose(seen.updated.flat, theta.flat - 0.1 * seen.nabla.flat)
    assert seen.z[2].dtype == np.float64


def test_targets_may_be_whole_numbers() -> None:
    architecture, parameters, x, y = network("softmax")
    seen = engine.trace(architecture, parameters, x, y.astype(int), "cross_entropy", 0.1)
    assert seen.cost == engine.trace(architecture, parameters, x, y, "cross_entropy", 0.1).cost
