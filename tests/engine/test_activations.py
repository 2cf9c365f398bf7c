import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from app.engine.activations import ACTIVATIONS
from app.engine.memory import Array
from app.engine.normal import FURTHEST, upper_tail

ELEMENTWISE = [name for name, activation in ACTIVATIONS.items() if activation.f_prime is not None]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def normal(z: float) -> float:
    """½ erfc(−z/√2), mended by its slope for what the rounding of z/√2 loses."""
    x = -z / math.sqrt(2)
    lost = float((Fraction(z) ** 2 / 2 - Fraction(x) ** 2) / (2 * Fraction(x))) if x else 0.0
    return 0.5 * math.erfc(x) - lost * math.exp(-x * x) / math.sqrt(math.pi)


def bell(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


# f and f′ of one number, in the words of their definitions.
EXACT: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "identity": (lambda z: z, lambda z: 1.0),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (math.tanh, lambda z: 1 / math.cosh(z) ** 2 if abs(z) < 300 else 0.0),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else 0.01 * z, lambda z: 1.0 if z > 0 else 0.01),
    "elu": (lambda z: z if z > 0 else math.expm1(z), lambda z: 1.0 if z > 0 else math.exp(z)),
    "softplus": (lambda z: max(z, 0.0) + math.log1p(math.exp(-abs(z))), sigmoid),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "gelu": (lambda z: z * normal(z), lambda z: normal(z) + z * bell(z)),
}


def applied(name: str, z: Array) -> Array:
    out = np.empty_like(z)
    ACTIVATIONS[name].f(z, out)
    return out


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_f_prime_is_the_slope_of_f(name: str) -> None:
    z = np.linspace(-4, 4, 80).reshape(8, 10)  # no point at 0, relu's kink
    f_prime = ACTIVATIONS[name].f_prime
    assert f_prime is not None
    slope = np.empty_like(z)
    f_prime(z, applied(name, z), slope)
    numeric = (applied(name, z + 1e-6) - applied(name, z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, numeric, atol=1e-8)


def sloped(name: str, z: Array) -> Array:
    f_prime = ACTIVATIONS[name].f_prime
    assert f_prime is not None
    slope = np.empty_like(z)
    f_prime(z, applied(name, z), slope)
    return slope


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_f_and_f_prime_are_exact_to_a_few_units_in_the_last_place(name: str, dtype: type) -> None:
    z: Array = np.concatenate([np.linspace(-6, 6, 1201), np.linspace(-80, 80, 321)])[None].astype(dtype)
    if name == "gelu":  # its tail has the rounding of z²/2 in the exponent, and a test of its own
        z = z[:, z[0] > -3]
    f, f_prime = EXACT[name]
    epsilon = float(np.finfo(dtype).eps)
    smallest = float(np.finfo(dtype).tiny)
    values = [f(float(value)) for value in z[0]]
    np.testing.assert_allclose(applied(name, z)[0], values, rtol=4 * epsilon, atol=smallest)
    slopes = [f_prime(float(value)) for value in z[0]]
    np.testing.assert_allclose(sloped(name, z)[0], slopes, rtol=3 * epsilon, atol=2 * epsilon)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tail_of_the_normal_distribution_is_right_as_far_as_it_reaches(dtype: type) -> None:
    t: Array = np.linspace(0, float(FURTHEST[np.dtype(dtype).char]), 3000).astype(dtype).reshape(3, 10, 100)
    expected = np.array([normal(-float(value)) for value in t.flat]).reshape(t.shape)
    bound = (4 + t.astype(np.float64) ** 2 / 2) * np.finfo(dtype).eps
    np.testing.assert_array_less(np.abs(upper_tail(t) - expected), bound * expected + np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_f_prime_at_zero_and_at_the_smallest_numbers_is_that_of_zero(name: str) -> None:
    for dtype in (np.float32, np.float64):
        tiny = np.finfo(dtype).tiny
        z: Array = np.array([[0.0, -0.0, -tiny, -tiny / 2]], dtype)
        expected = EXACT[name][1](0.0)
        assert sloped(name, z).tolist() == [[dtype(expected)] * 4]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_far_from_zero_f_prime_is_its_limit(name: str, dtype: type) -> None:
    far = float(np.finfo(dtype).max) / 4
    z: Array = np.array([[far, 1e20, -1e20, -far]], dtype)
    above = 0.0 if name in ("sigmoid", "tanh") else 1.0
    below = {"identity": 1.0, "leaky_relu": float(dtype(0.01))}.get(name, 0.0)
    assert np.abs(sloped(name, z) - [[above, above, below, below]]).max() < np.finfo(dtype).tiny * 1000
    np.testing.assert_allclose(applied(name, z)[0, :2], [1.0, 1.0] if above == 0 else z[0, :2])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_is_not_a_number_stays_so(name: str) -> None:
    assert np.isnan(applied(name, np.array([[math.nan], [math.nan]]))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_in_place_gives_the_same_bits_and_the_largest_inputs_no_warning(name: str, dtype: type) -> None:
    edges = [0.0, -0.0, 1e-30, -1e-30, 88.8, -88.8, 1e4, -1e4, 1e30, -1e30]
    z: Array = np.array([edges, edges[::-1]], dtype)
    a = applied(name, z)
    assert a.dtype == dtype
    assert np.isfinite(a).all()
    ACTIVATIONS[name].f(z, z)
    np.testing.assert_array_equal(z, a)


def test_sigmoid_is_exact_to_rounding_also_in_its_tails() -> None:
    z = np.array([[-700.0, -30.0, -1.0, 0.0, 1.0, 30.0, 800.0]])
    np.testing.assert_allclose(applied("sigmoid", z)[0, :6], 1 / (1 + np.exp(-z[0, :6])), rtol=1e-15)
    assert applied("sigmoid", z)[0, 6] == 1.0


def test_softmax_sums_to_one_for_each_example_and_ignores_a_shift() -> None:
    z = np.random.default_rng(0).standard_normal((4, 6))
    a = applied("softmax", z)
    np.testing.assert_allclose(a.sum(axis=0), 1.0)
    np.testing.assert_allclose(a, np.exp(z) / np.exp(z).sum(axis=0))
    np.testing.assert_allclose(applied("softmax", z + 1000.0), a)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (3, 40000), (300, 300), (2, 3, 4)])
def test_gelu_piece_by_piece_is_gelu_at_once(shape: tuple[int, ...]) -> None:
    z = np.random.default_rng(0).standard_normal(shape)
    each = [applied("gelu", row[None])[0] for row in z]
    np.testing.assert_array_equal(applied("gelu", z), np.array(each).reshape(shape))
