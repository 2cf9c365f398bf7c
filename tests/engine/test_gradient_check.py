from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app import engine
from app.engine import backprop
from app.engine.activations import ACTIVATIONS
from app.engine.memory import Array

HIDDEN = [name for name, row in ACTIVATIONS.items() if row.f_prime is not None]
EDGED = {"elu"} | {name for name, row in ACTIVATIONS.items() if not row.smooth}
ENDS = [(cost, output) for cost, forms in engine.COSTS.items() for output in forms]


def network(
    hidden: str, output: str, seed: int = 4
) -> tuple[engine.Architecture, engine.Parameters, Array, Array]:
    layers = (engine.Layer(5, hidden), engine.Layer(4, hidden), engine.Layer(2, output))
    architecture = engine.Architecture(3, layers)
    parameters = engine.initialise(architecture, 1, "float64")
    draw = np.random.default_rng(seed)
    for b in parameters.b.values():
        b[...] = draw.uniform(-0.5, 0.5, b.shape)
    x = draw.standard_normal((6, 3))
    y = np.eye(2)[draw.integers(0, 2, 6)] if output == "softmax" else draw.random((6, 2))
    return architecture, parameters, x, y


def away_from_kinks(
    architecture: engine.Architecture, parameters: engine.Parameters, x: Array, y: Array, cost: str
) -> bool:
    """Whether no step of the check crosses a point where f, J, or the slope of one of them, has a kink.

    ELU's and Huber's slopes do: a numeric slope across it is off by up to 1e-5 times that of the slope.
    """
    z, a = engine.forward(architecture, parameters, x.T)
    edged = [l for l, layer in enumerate(architecture.layers, 2) if layer.activation in EDGED]
    error = np.abs(a[architecture.n] - y.T)
    distance = {"absolute_error": error, "huber": np.abs(error - 1)}.get(cost, np.ones(1))
    return min([float(distance.min()), *(float(np.abs(z[l]).min()) for l in edged)]) > 1e-3


@pytest.mark.parametrize(("lambda_", "weighted"), [(0.0, False), (0.1, True)])
@pytest.mark.parametrize(("cost", "output"), ENDS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_backpropagation_agrees_with_the_slope_of_the_cost(
    hidden: str, cost: str, output: str, lambda_: float, weighted: bool
) -> None:
    drawn = (network(hidden, output, seed) for seed in range(4, 10))
    architecture, parameters, x, y = next(made for made in drawn if away_from_kinks(*made, cost))
    v = np.array([0.5, 0.0, 2.0, 1.0, 3.0, 0.1]) if weighted else None
    assert engine.check_gradient(architecture, parameters, x, y, cost, lambda_, v).worst <= 1e-7


class Case(NamedTuple):
    sizes: list[int]
    hidden: list[str]
    end: tuple[str, str]
    lambda_: float
    weights: list[float] | None
    examples: int
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    hidden = draw(st.lists(st.sampled_from(HIDDEN), min_size=1, max_size=3))
    sizes = draw(st.lists(st.integers(1, 4), min_size=len(hidden) + 2, max_size=len(hidden) + 2))
    m = draw(st.integers(1, 5))
    weights = st.lists(st.just(0.0) | st.floats(0.01, 100.0), min_size=m, max_size=m).filter(any)
    return Case(
        sizes,
        hidden,
        draw(st.sampled_from(ENDS)),
        draw(st.sampled_from([0.0, 0.001, 0.1, 1.0])),
        draw(st.none() | weights),
        m,
        draw(st.integers(0, 10**6)),
    )


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(cases())
def test_every_mixture_of_activations_costs_decay_and_weights_has_the_right_gradient(case: Case) -> None:
    cost, output = case.end
    units = zip(case.sizes[1:], [*case.hidden, output], strict=True)
    architecture = engine.Architecture(case.sizes[0], tuple(engine.Layer(*each) for each in units))
    draw = np.random.default_rng(case.seed)
    parameters = engine.Parameters.zeros(architecture, "float64")
    for _, array in parameters.named():
        array[...] = draw.uniform(-1, 1, array.shape)
    m, s_n = case.examples, case.sizes[-1]
    x, y = draw.standard_normal((m, case.sizes[0])), draw.uniform(-2, 2, (m, s_n))
    if cost == "cross_entropy":
        y = draw.random((m, s_n))
        if output == "softmax":
            y /= y.sum(axis=1, keepdims=True)
        z, _ = engine.forward(architecture, parameters, x.T)
        assume(np.abs(z[architecture.n]).max() < 7)  # beyond, 1 − a has lost the digits for a numeric slope
    assume(away_from_kinks(architecture, parameters, x, y, cost))
    v = None if case.weights is None else np.array(case.weights)
    assert engine.check_gradient(architecture, parameters, x, y, cost, case.lambda_, v).worst <= 1e-7


def test_an_example_of_no_weight_changes_no_gradient() -> None:
    architecture, parameters, x, y = network("tanh", "identity")

    def gradient(x: Array, y: Array, v: Array | None) -> Array:
        form = engine.COSTS["squared_error"]["identity"]
        z, a = engine.forward(architecture, parameters, x.T)
        delta = engine.backward(architecture, parameters, form, z, a, y.T)
        return engine.gradient(architecture, parameters, a, delta, 0.1, v).flat

    without = gradient(x[2:], y[2:], None)
    np.testing.assert_allclose(gradient(x, y, np.array([0.0, 0, 3, 3, 3, 3])), without, rtol=1e-12)
    repeated = np.concatenate([x, x[:1]]), np.concatenate([y, y[:1]])
    np.testing.assert_allclose(
        gradient(x, y, np.array([2.0, 1, 1, 1, 1, 1])), gradient(*repeated, None), rtol=1e-12
    )


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
