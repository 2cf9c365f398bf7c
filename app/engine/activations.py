"""f and f′ side by side, a table by name. Every form writes into ``out`` and works in place (z is out).

Where a form needs z to the end it works in an array of its own, and says so. "Exact" is to a few units in the
last place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from app.engine.memory import Array
from app.engine.normal import FURTHEST, bell, upper_tail

F = Callable[[Array, Array], object]
FPrime = Callable[[Array, Array, Array], object]


# Constants as arrays of no dimension, by dtype: a ufunc takes half a microsecond longer over a Python number.
_DTYPES: list[np.dtype[np.floating[Any]]] = [np.dtype(np.float32), np.dtype(np.float64)]
_ZERO = {d.char: np.zeros((), d) for d in _DTYPES}
_ONE = {d.char: np.ones((), d) for d in _DTYPES}
_SLOPE = {d.char: np.array(0.01, d) for d in _DTYPES}
_TINY = {d.char: np.array(np.finfo(d).tiny, d) for d in _DTYPES}
_TWICE_TINY = {d.char: np.array(2 * np.finfo(d).tiny, d) for d in _DTYPES}
_BELL_AT_0 = {d.char: np.array((2 * np.pi) ** -0.5, d) for d in _DTYPES}
_LARGEST_EXPONENT = {d.char: np.array(np.floor(np.log(np.finfo(d).max)), d) for d in _DTYPES}
_LEAST_EXPONENT = {char: -exponent for char, exponent in _LARGEST_EXPONENT.items()}

# What gelu goes through at once, in numbers: its two dozen passes should find them in the cache.
_PIECE = 32768


class Activation(NamedTuple):
    """One row of the table.

    ``f(z, out)`` writes f(z) (3); ``f_prime(z, a, out)`` writes f′(z) (15), where a = f(z) is known already.
    ``f_prime`` is None for softmax, which has no elementwise derivative. ``reads_z`` says that f′ needs z
    itself, so that z may not share its memory with a. ``smooth``: f′ is continuous. ``rectifier``: passes
    half of its inputs and is 0 at 0, so that He's initialisation suits it. Softplus is ln 2 there; He's
    weights would pile up its means from layer to layer.
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


def leaky_relu(z: Array, out: Array) -> None:
    """The greater of z and z/100. One array of its own."""
    np.maximum(z, np.multiply(z, _SLOPE[out.dtype.char]), out=out)


def leaky_relu_prime(z: Array, a: Array, out: Array) -> None:
    """1 where z > 0, else 0.01."""
    np.sign(a, out)
    np.maximum(out, _SLOPE[out.dtype.char], out=out)


def elu(z: Array, out: Array) -> None:
    """z where z > 0, else e^z − 1: the greater of z and e^min(z,0) − 1. One array of its own."""
    below = np.minimum(z, _ZERO[out.dtype.char])
    np.expm1(below, below)
    np.maximum(z, below, out=out)


def elu_prime(z: Array, a: Array, out: Array) -> None:
    """1 where z > 0, else e^z = a + 1, exact beside 1."""
    np.minimum(a, _ZERO[out.dtype.char], out=out)
    np.add(out, _ONE[out.dtype.char], out)


def softplus(z: Array, out: Array) -> None:
    """ln(1 + e^z), which is z where e^z would overflow. One array of its own."""
    above = np.minimum(z, _LARGEST_EXPONENT[out.dtype.char])
    np.exp(above, above)
    np.log1p(above, above)
    np.maximum(z, above, out=out)


def softplus_prime(z: Array, a: Array, out: Array) -> None:
    """The sigmoid of z, 1 − e^-a, exact in both tails."""
    np.negative(a, out)
    np.expm1(out, out)
    np.negative(out, out)


def silu(z: Array, out: Array) -> None:
    """z / (1 + e^-z), constant (and nothing, beside 1) where e^-z would overflow. One array of its own."""
    bounded = np.maximum(z, _LEAST_EXPONENT[out.dtype.char])
    np.negative(bounded, out)
    np.exp(out, out)
    np.add(out, _ONE[out.dtype.char], out)
    np.divide(bounded, out, out)


def silu_prime(z: Array, a: Array, out: Array) -> None:
    """(1 + a e^-z) / (1 + e^-z), exact but for an absolute error near its zero. One array of its own."""
    np.negative(z, out)
    np.minimum(out, _LARGEST_EXPONENT[out.dtype.char], out=out)
    np.exp(out, out)
    below = np.add(out, _ONE[out.dtype.char])
    np.multiply(out, a, out)
    np.add(out, _ONE[out.dtype.char], out)
    np.divide(out, below, out)


def gelu(z: Array, out: Array) -> None:
    """z Φ(z), Φ(z) = ½ (1 + erf(z/√2)); as exact as upper_tail. Five arrays of its own, of a piece each."""
    rows = max(1, _PIECE * len(z) // max(1, z.size))
    for first in range(0, len(z), rows):
        _gelu(z[first : first + rows], out[first : first + rows])


def _gelu(z: Array, out: Array) -> None:
    """max(z, 0) − |z| Q(|z|), which is z Φ(z) on either side of 0."""
    t = np.absolute(z)
    np.minimum(t, FURTHEST[out.dtype.char], out=t)
    tail = upper_tail(t)
    np.multiply(tail, t, tail)
    np.maximum(z, _ZERO[out.dtype.char], out=out)
    np.subtract(out, tail, out)


def gelu_prime(z: Array, a: Array, out: Array) -> None:
    """Φ(z) + z φ(z), φ(z) = e^{-z²/2} / √2π, where Φ(z) = |a| / |z|. One array of its own."""
    char = out.dtype.char
    room = np.absolute(z)
    np.add(room, _TWICE_TINY[char], room)  # lost beside any number but the smallest: there Φ is ½ and not 0/0
    np.absolute(a, out)
    np.add(out, _TINY[char], out)
    np.divide(out, room, out)
    np.minimum(room, FURTHEST[char], out=room)
    bell(room, room)
    np.multiply(room, _BELL_AT_0[char], room)
    np.multiply(room, z, room)
    np.add(out, room, out)


def softmax(z: Array, out: Array) -> None:
    """e^z over its sum, example by example (axis 0), shifted by the largest z so that nothing overflows."""
    np.subtract(z, np.maximum.reduce(z, 0), out)
    np.exp(out, out)
    np.divide(out, np.add.reduce(out, 0), out)


# fmt: off
ACTIVATIONS: dict[str, Activation] = {
    #                        f           f′
    "identity":   Activation(identity,   identity_prime),
    "sigmoid":    Activation(sigmoid,    sigmoid_prime),
    "tanh":       Activation(np.tanh,    tanh_prime),
    "relu":       Activation(relu,       relu_prime,       rectifier=True, smooth=False),
    "leaky_relu": Activation(leaky_relu, leaky_relu_prime, rectifier=True, smooth=False),
    "elu":        Activation(elu,        elu_prime,        rectifier=True),
    "softplus":   Activation(softplus,   softplus_prime),
    "silu":       Activation(silu,       silu_prime,       rectifier=True, reads_z=True),
    "gelu":       Activation(gelu,       gelu_prime,       rectifier=True, reads_z=True),
    "softmax":    Activation(softmax,    None),
}
# fmt: on
