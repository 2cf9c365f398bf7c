import numpy as np
import pytest

from app import engine
from app.engine.activations import ACTIVATIONS
from app.engine.backprop import Buffers, summed_gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (1, 4, 1), (4, 1, 3), (2, 1)])
@pytest.mark.parametrize("m", [1, 7, 300])
def test_predict_is_forward_with_rows(sizes: tuple[int, ...], m: int, dtype: str) -> None:
    layers = tuple(engine.Layer(units, "sigmoid") for units in sizes[1:])
    architecture = engine.Architecture(sizes[0], layers)
    parameters = engine.initialise(architecture, 2, dtype)
    rows = np.random.default_rng(0).standard_normal((m, sizes[0])).astype(dtype)
    kept = rows.copy()
    answer = engine.predict(architecture, parameters, rows)
    _, a = engine.forward(architecture, parameters, rows.T)
    assert answer.shape == (m, sizes[-1])
    assert answer.dtype == rows.dtype
    np.testing.assert_allclose(answer, a[architecture.n].T, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(rows, kept)


@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("hidden", [name for name, row in ACTIVATIONS.items() if row.f_prime is not None])
def test_given_buffers_change_no_bit(hidden: str, output: str) -> None:
    architecture = engine.Architecture(3, (engine.Layer(5, hidden), engine.Layer(2, output)))
    parameters = engine.initialise(architecture, 2, "float64")
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((3, 9)), draw.random((2, 9))
    cost = engine.COSTS["cross_entropy" if output == "softmax" else "squared_error"][output]
    z, a = engine.forward(architecture, parameters, x)
    fresh = engine.backward(architecture, parameters, cost, z, a, y, 1 / 9)
    buffers = Buffers.of(architecture, 9, x.dtype)
    for _ in range(2):
        z, a = engine.forward(architecture, parameters, x, buffers)
        reused = engine.backward(architecture, parameters, cost, z, a, y, 1 / 9, buffers)
    for l in fresh:
        np.testing.assert_array_equal(reused[l], fresh[l])


def test_a_share_in_delta_is_the_mean_of_9_and_10() -> None:
    architecture = engine.Architecture(3, (engine.Layer(5, "tanh"), engine.Layer(2, "identity")))
    parameters = engine.initialise(architecture, 2, "float64")
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((3, 9)), draw.random((2, 9))
    cost = engine.COSTS["squared_error"]["identity"]
    z, a = engine.forward(architecture, parameters, x)
    mean = engine.gradient(
        architecture, parameters, a, engine.backward(architecture, parameters, cost, z, a, y), 0.0
    )
    delta = engine.backward(architecture, parameters, cost, z, a, y, 1 / 9)
    into = engine.Parameters.zeros(architecture, "float64")
    summed_gradient(architecture, a, delta, np.ones((9, 1)), into)
    np.testing.assert_allclose(into.flat, mean.flat, rtol=1e-12, atol=1e-15)
