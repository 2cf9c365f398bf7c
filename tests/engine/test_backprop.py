from itertools import pairwise

import numpy as np
import pytest

from app import engine
from app.engine import backprop
from app.engine.backprop import Room
from app.engine.memory import Array
from app.engine.tape import Do, Tape, now, play


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


def step(room: Room, do: Do, parts: int = 1) -> engine.Parameters:
    """One step through a room, each equation in so many parts."""
    network, theta, cost, y = NETWORK, START, engine.COSTS["squared_error"]["tanh"], Y
    nabla = engine.Parameters.zeros(network, "float64")

    def cuts(size: int) -> list[slice]:
        edges = np.linspace(0, size, parts + 1).astype(int)
        return [slice(*pair) for pair in pairwise(edges)]

    for l in range(1, network.n):
        for i in cuts(network.s[l + 1]):
            backprop.layer_forward(network, theta, room, l, do, i=i)
    for k in cuts(y.shape[1]):
        backprop.output_delta(network, cost, room, y, None, do, k)
    for l in range(network.n - 1, 1, -1):
        for i in cuts(network.s[l]):
            backprop.layer_backward(network, theta, room, l, do, i=i)
    for l in range(1, network.n):
        for i in cuts(network.s[l + 1]):
            backprop.weight_gradient(room, nabla, l, do, i=i)
            backprop.bias_gradient(room, nabla, l, do, i=i)
    return nabla


LAYERS = (engine.Layer(6, "sigmoid"), engine.Layer(4, "gelu"), engine.Layer(2, "tanh"))
NETWORK = engine.Architecture(3, LAYERS)
START = engine.initialise(NETWORK, 2, "float64")
X = np.random.default_rng(0).standard_normal((9, 3))
Y = np.random.default_rng(1).random((2, 9))


def plain() -> engine.Parameters:
    z, a = engine.forward(NETWORK, START, X.T)
    delta = engine.backward(NETWORK, START, engine.COSTS["squared_error"]["tanh"], z, a, Y)
    return engine.gradient(NETWORK, START, a, delta, 0.0)


@pytest.mark.parametrize("apart", [False, True])
def test_a_tape_that_is_played_again_and_again_gives_the_bits_of_computing_at_once(apart: bool) -> None:
    room = Room.of(NETWORK, 9, X.dtype, apart=apart).holding(X.T)
    at_once = step(room, now).flat.copy()
    np.testing.assert_allclose(at_once / 9, plain().flat, rtol=1e-12, atol=1e-15)
    tape = Tape()
    nabla = step(room, tape)
    for _ in range(2):
        nabla.flat.fill(np.nan)
        for l in nabla.W:  # the gaps between the blocks are nobody's
            nabla.W[l].fill(0.0)
        play(tape)
        for (_, got), l in zip(nabla.named(), [1, 1, 2, 2, 3, 3], strict=True):
            assert np.isfinite(got).all(), l
        np.testing.assert_array_equal(nabla.W[1], step(room, now).W[1])
        np.testing.assert_array_equal(nabla.b[3], step(room, now).b[3])


@pytest.mark.parametrize("size", [1, 100, 200])
def test_parts_that_fit_the_cache_change_no_bit(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room.of(NETWORK, 9, X.dtype).holding(X.T)
    whole = step(room, now).flat.copy()
    monkeypatch.setattr(backprop, "CACHED_BYTES", size)
    assert len(backprop.in_cache(room.a[2])) > 1
    np.testing.assert_array_equal(step(room, now).flat, whole)


@pytest.mark.parametrize("parts", [2, 3])
def test_equations_of_some_neurons_and_examples_make_up_the_whole(parts: int) -> None:
    room = Room.of(NETWORK, 9, X.dtype).holding(X.T)
    np.testing.assert_allclose(step(room, now, parts).flat / 9, plain().flat, rtol=1e-12, atol=1e-15)


def test_a_share_in_delta_is_the_mean_of_9_and_10() -> None:
    room = Room.of(NETWORK, 9, X.dtype).holding(X.T)
    cost = engine.COSTS["squared_error"]["tanh"]
    for l in range(1, NETWORK.n):
        backprop.layer_forward(NETWORK, START, room, l)
    backprop.output_delta(NETWORK, cost, room, Y, np.full((), 1 / 9))
    nabla = engine.Parameters.zeros(NETWORK, "float64")
    backprop.weight_gradient(room, nabla, 3)
    np.testing.assert_allclose(nabla.W[3], plain().W[3], rtol=1e-12)


def test_dropout_takes_the_mask_into_outputs_and_slope() -> None:
    layers = (engine.Layer(4, "tanh", dropout=0.5), engine.Layer(1, "identity"))
    network = engine.Architecture(3, layers)
    theta = engine.initialise(network, 0, "float64")
    room = Room.of(network, 9, X.dtype).holding(X.T)
    mask: Array = room.mask[2]
    mask[...] = np.random.default_rng(2).integers(0, 2, mask.shape) * 2.0
    for l in (1, 2):
        backprop.layer_forward(network, theta, room, l)
    a = np.tanh(theta.W[1] @ X.T)
    np.testing.assert_allclose(room.a[2], a * mask)
    np.testing.assert_allclose(room.a[3], theta.W[2] @ (a * mask))
    backprop.output_delta(network, engine.COSTS["squared_error"]["identity"], room, Y[:1], None)
    backprop.layer_backward(network, theta, room, 2)
    np.testing.assert_allclose(room.delta[2], theta.W[2].T * (room.a[3] - Y[:1]) * mask * (1 - a**2))
    _, outputs = engine.forward(network, theta, X.T)  # without dropout
    np.testing.assert_allclose(outputs[2], a)
