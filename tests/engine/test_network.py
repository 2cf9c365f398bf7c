import hashlib
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.network import (
    INITIALIZATIONS,
    Architecture,
    Layer,
    Parameters,
    ShapeMismatch,
    automatic_initialization,
    initialise,
)

ARCHITECTURE = Architecture(3, (Layer(5, "tanh"), Layer(2, "identity")))
PAIRS: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = [
    (np.arange(15.0).reshape(5, 3), np.arange(5.0)),
    (np.arange(10.0).reshape(2, 5), np.array([7.0, 8.0])),
]


def test_the_architecture_speaks_the_paper_s_letters() -> None:
    assert ARCHITECTURE.n == 3
    assert ARCHITECTURE.s == {1: 3, 2: 5, 3: 2}
    assert ARCHITECTURE.parameter_count == 5 * 3 + 5 + 2 * 5 + 2


def test_w_and_b_are_views_of_the_flat_vector_and_weights_hold_no_bias() -> None:
    parameters = Parameters.of(ARCHITECTURE, PAIRS, "float64")
    assert parameters.W[1].shape == (5, 3)
    assert parameters.b[2].shape == (2, 1)
    assert parameters.flat.sum() == sum(np.sum(W) + np.sum(b) for W, b in PAIRS)
    assert parameters.weights.sum() == sum(np.sum(W) for W, _ in PAIRS)
    parameters.flat[:] = 1.0
    assert all((array == 1.0).all() for _, array in parameters.named())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_block_begins_on_a_cache_line(dtype: str) -> None:
    for _, array in Parameters.zeros(ARCHITECTURE, dtype).named():
        assert array.ctypes.data % 64 == 0
        assert array.flags.c_contiguous


def test_pairs_give_back_what_of_took_as_copies() -> None:
    parameters = Parameters.of(ARCHITECTURE, PAIRS, "float64")
    for (W, b), (given_W, given_b) in zip(parameters.pairs(), PAIRS, strict=True):
        np.testing.assert_array_equal(W, given_W)
        np.testing.assert_array_equal(b, np.asarray(given_b))
        W[...] = -1
    assert parameters.W[1][0, 1] == 1.0


def test_a_bias_may_be_a_column() -> None:
    column = [(W, np.asarray(b).reshape(-1, 1)) for W, b in PAIRS]
    taken = Parameters.of(ARCHITECTURE, column, "float64")
    assert taken.sha256() == Parameters.of(ARCHITECTURE, PAIRS, "float64").sha256()


@pytest.mark.parametrize(
    ("k", "pair", "where", "expected", "got"),
    [
        (0, (np.zeros((3, 5)), np.zeros(5)), "[0].W", (5, 3), (3, 5)),
        (1, (np.zeros((2, 5)), np.zeros(3)), "[1].b", (2,), (3,)),
        (1, ([[1.0, 2.0], [3.0]], np.zeros(2)), "[1].W", (2, 5), None),
    ],
)
def test_a_wrong_shape_is_named(
    k: int, pair: tuple[object, object], where: str, expected: tuple[int, ...], got: tuple[int, ...] | None
) -> None:
    pairs: list[tuple[object, object]] = [*PAIRS]
    pairs[k] = pair
    with pytest.raises(ShapeMismatch) as caught:
        Parameters.of(ARCHITECTURE, pairs, "float64")  # type: ignore[arg-type]
    assert (caught.value.where, caught.value.expected, caught.value.got) == (where, expected, got)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_wrong_number_of_layers_is_named() -> None:
    with pytest.raises(ShapeMismatch, match=r"expected shape \(2,\), got shape \(1,\)"):
        Parameters.of(ARCHITECTURE, PAIRS[:1], "float64")


def test_sha256_is_over_the_parameters_bytes_without_padding() -> None:
    parameters = Parameters.of(ARCHITECTURE, PAIRS, "float32")
    data = b"".join(np.asarray(array, "<f4").tobytes() for pair in PAIRS for array in pair)
    assert parameters.sha256() == hashlib.sha256(data).hexdigest()


def test_copies_are_apart_and_astype_rounds() -> None:
    parameters = Parameters.of(ARCHITECTURE, [(W / 3, b / 3) for W, b in PAIRS], "float64")
    copied, narrow = parameters.copy(), parameters.astype("float32")
    parameters.flat[:] = 0
    assert copied.W[1][0, 1] == 1 / 3
    assert narrow.W[1][0, 1] == np.float32(1 / 3)
    assert narrow.flat.dtype == np.float32


def test_is_finite_and_norm_see_past_squares_that_overflow() -> None:
    parameters = Parameters.of(ARCHITECTURE, PAIRS, "float32")
    assert parameters.is_finite()
    assert parameters.norm() == pytest.approx(np.linalg.norm(parameters.flat))
    parameters.flat[0] = 1e30
    assert parameters.is_finite()
    with np.errstate(over="ignore"):
        assert parameters.norm() == pytest.approx(1e30)
    parameters.flat[0] = np.nan
    assert not parameters.is_finite()


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_each_initialization_has_its_spread_and_range(name: str) -> None:
    fan_in, fan_out = 300, 500
    architecture = Architecture(fan_in, (Layer(fan_out, "tanh", name),))
    parameters = initialise(architecture, 3, "float64")
    W = parameters.W[1]
    variance = {"gl": 2 / (fan_in + fan_out), "he": 2 / fan_in, "un": 1 / (3 * fan_in), "ze": 0.0}[name[:2]]
    assert np.var(W) == pytest.approx(variance, rel=0.02)
    assert abs(np.mean(W)) <= 0.01 * variance**0.5
    furthest = np.abs(W).max()
    if name.endswith("uniform"):
        assert furthest <= (3 * variance) ** 0.5
    elif name != "zeros":
        assert furthest > (3 * variance) ** 0.5
    assert not parameters.b[1].any()


def test_auto_is_he_for_rectifiers_and_glorot_for_the_rest() -> None:
    for rectifier in ("relu", "leaky_relu", "elu", "silu", "gelu"):
        assert automatic_initialization(rectifier) == "he_uniform"
    for other in ("identity", "sigmoid", "tanh", "softplus", "softmax"):
        assert automatic_initialization(other) == "glorot_uniform"
    auto = initialise(Architecture(4, (Layer(3, "relu"),)), 0, "float64")
    named = initialise(Architecture(4, (Layer(3, "relu", "he_uniform"),)), 0, "float64")
    assert auto.sha256() == named.sha256()


def test_the_seed_decides_and_both_dtypes_begin_at_the_same_point() -> None:
    first = initialise(ARCHITECTURE, 5, "float64")
    assert initialise(ARCHITECTURE, 5, "float64").sha256() == first.sha256()
    assert initialise(ARCHITECTURE, 6, "float64").sha256() != first.sha256()
    assert initialise(ARCHITECTURE, 5, "float32").sha256() == first.astype("float32").sha256()


def test_a_layer_s_draw_does_not_depend_on_the_layers_beside_it() -> None:
    deeper = Architecture(3, (Layer(5, "tanh"), Layer(2, "identity"), Layer(4, "tanh")))
    np.testing.assert_array_equal(
        initialise(deeper, 1, "float64").W[1], initialise(ARCHITECTURE, 1, "float64").W[1]
    )
