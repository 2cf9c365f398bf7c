"""f and f′ side by side, a table by name. Every form writes into ``out`` and works in place (z is out)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
F = Callable[[Array, Array], object]
FPrime = Callable[[Array, Array, Array], object]


# Constants as arrays of no dimension, by dtype: a ufunc takes half a microsecond longer over a Python number.
_DTYPES: list[np.dtype[np.floating[Any]]] = [np.dtype(np.float32), np.dtype(np.float64)]
_ZERO = {d.char: np.zeros((), d) for d in _DTYPES}
_ONE = {d.char: np.ones((), d) for d in _DTYPES}
_LARGEST_EXPONENT = {d.char: np.array(np.floor(np.log(np.finfo(d).max)), d) for d in _DTYPES}


class Activation(NamedTuple):
    """One row of the table.

    ``f(z, out)`` writes f(z) (3); ``f_prime(z, a, out)`` writes f′(z) (15), where a = f(z) is known already.
    ``f_prime`` is None for softmax, which has no elementwise derivative. ``reads_z`` says that f′ needs z
    itself, so that z may not share its memory with a. ``smooth``: f′ is continuous. ``rectifier``: passes
    half of its inputs, so that He's initialisation suits it.
    """

    f: F
    f_prime: FPrime | None
    smooth: bool = True
    reads_z: bool = False
    rectifier: bool = False


def identity(z: Array, out: Array) -> None:
    if out is not z:
        np.copyto(out, z)


def identity_prime(z: Array, a: Array, out: Array) -> None:
    out.fill(1.0)


def sigmoid(z: Array, out: Array) -> None:
    """1 / (1 + e^-z); -z stops short of the largest exponent, so that nothing overflows."""
    np.negative(z, out)
    np.minimum(out, _LARGEST_EXPONENT[out.dtype.char], out=out)
    np.exp(out, out)
    np.add(out, _ONE[out.dtype.char], out)
    np.reciprocal(out, out)


def sigmoid_prime(z: Array, a: Array, out: Array) -> None:
    """a (1 - a)."""
    np.subtract(_ONE[out.dtype.char], a, out)
    np.multiply(out, a, out)


def tanh_prime(z: Array, a: Array, out: Array) -> None:
    """1 - a²."""
    np.multiply(a, a, out)
    np.subtract(_ONE[out.dtype.char], out, out)


def relu(z: Array, out: Array) -> None:
    np.maximum(z, _ZERO[out.dtype.char], out=out)


def relu_prime(z: Array, a: Array, out: Array) -> None:
    """1 where z > 0, else 0: the sign of a, which is never negative."""
    np.sign(a, out)


def softmax(z: Array, out: Array) -> None:
    """e^z over its sum, example by example (axis 0), shifted by the largest z so that nothing overflows."""
    np.subtract(z, np.maximum.reduce(z, 0), out)
    np.exp(out, out)
    np.divide(out, np.add.reduce(out, 0), out)


# fmt: off
ACTIVATIONS: dict[str, Activation] = {
    #                      f         f′
    "identity": Activation(identity, identity_prime),
    "sigmoid":  Activation(sigmoid,  sigmoid_prime),
    "tanh":     Activation(np.tanh,  tanh_prime),
    "relu":     Activation(relu,     relu_prime, smooth=False, rectifier=True),
    "softmax":  Activation(softmax,  None),
}
# fmt: on
