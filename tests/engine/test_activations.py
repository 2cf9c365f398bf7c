import numpy as np
import pytest

from app.engine.activations import ACTIVATIONS, Array

ELEMENTWISE = [name for name, activation in ACTIVATIONS.items() if activation.f_prime is not None]


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


def test_relu_is_flat_at_its_kink() -> None:
    z = np.array([[-1.0, 0.0, 2.0]])
    slope = np.empty_like(z)
    f_prime = ACTIVATIONS["relu"].f_prime
    assert f_prime is not None
    f_prime(z, applied("relu", z), slope)
    assert slope.tolist() == [[0.0, 0.0, 1.0]]
