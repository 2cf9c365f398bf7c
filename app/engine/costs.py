"""J and its error term at the output layer side by side, a table by name. Examples are columns."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.engine.activations import ACTIVATIONS
from app.engine.memory import Array

Float64Array = NDArray[np.float64]

_FLOAT64 = np.dtype(np.float64)
_DTYPES: list[np.dtype[np.floating[Any]]] = [np.dtype(np.float32), _FLOAT64]
_HALF = {d.char: np.array(0.5, d) for d in _DTYPES}
_ONE = {d.char: np.array(1.0, d) for d in _DTYPES}
_MINUS_ONE = {d.char: np.array(-1.0, d) for d in _DTYPES}
_FLOOR = {d.char: np.array(np.finfo(d).tiny, d) for d in _DTYPES}


class Total(Protocol):
    def __call__(self, a: Array, y: Array, v: Array | None = None) -> float: ...


class Cost(NamedTuple):
    """One row of the table; a and y have shape (s_n, m), or (…, s_n, m).

    ``examples(a, y)``: J of each example, shape (m,) or (…, m), always float64; finite for every
    finite a. ``total(a, y, v)``: Σ_k v_k J_k; v are the examples' weights, (m,) or (…, m) in float64, and
    all 1 without.
    ``delta(a, y, out)`` writes ∂J/∂a (17), or ∂J/∂z (14) where ``at_z``: then a − y replaces (15) with (17)
    and f′ of the output layer is not used. It knows no weights: δ is each example's own.
    """

    examples: Callable[[Array, Array], Float64Array]
    total: Total
    delta: Callable[[Array, Array, Array], object]
    at_z: bool


def _difference(a: Array, y: Array) -> Float64Array:
    """a − y, widened after it: NumPy subtracts in one dtype a third faster than it widens on the way."""
    return (a - y).astype(_FLOAT64)


def _weighed(examples: Float64Array, v: Array) -> float:
    return float(np.add.reduce(examples * v, None))


def squared_error(a: Array, y: Array) -> Float64Array:
    """J = ½ ‖a − y‖² (5), squared and added up in float64."""
    difference = _difference(a, y)
    squares: Float64Array = np.einsum("...ik,...ik->...k", difference, difference)
    return 0.5 * squares


def squared_error_total(a: Array, y: Array, v: Array | None = None) -> float:
    if v is not None:
        return _weighed(squared_error(a, y), v)
    difference = (a - y).astype(_FLOAT64).ravel("K")
    return 0.5 * float(difference.dot(difference))


def absolute_error(a: Array, y: Array) -> Float64Array:
    """J = Σ_i |a_i − y_i|: least at the median, and its slope does not grow with an outlier."""
    total: Float64Array = np.add.reduce(np.absolute(_difference(a, y)), -2)
    return total


def absolute_error_total(a: Array, y: Array, v: Array | None = None) -> float:
    if v is not None:
        return _weighed(absolute_error(a, y), v)
    difference = _difference(a, y)
    return float(np.add.reduce(np.absolute(difference, difference), None))


def absolute_error_delta(a: Array, y: Array, out: Array) -> None:
    """The sign of a − y: 0 at the kink."""
    np.subtract(a, y, out)
    np.sign(out, out)


def huber(a: Array, y: Array) -> Float64Array:
    """J = Σ_i ½ e² where e = |a_i − y_i| ≤ 1, else e − ½ (Huber 1964, δ = 1): c (e − ½ c), c = min(e, 1)."""
    e = np.absolute(_difference(a, y))
    c = np.minimum(e, _ONE["d"])
    total: Float64Array = np.einsum("...ik,...ik->...k", c, e - 0.5 * c)
    return total


def huber_total(a: Array, y: Array, v: Array | None = None) -> float:
    if v is not None:
        return _weighed(huber(a, y), v)
    e = np.absolute(_difference(a, y).ravel("K"))
    c = np.minimum(e, _ONE["d"])
    np.subtract(e, np.multiply(c, _HALF["d"]), e)
    return float(c.dot(e))


def huber_delta(a: Array, y: Array, out: Array) -> None:
    """a − y, held between −1 and 1."""
    np.subtract(a, y, out)
    np.minimum(out, _ONE[out.dtype.char], out=out)
    np.maximum(out, _MINUS_ONE[out.dtype.char], out=out)


def softmax_cross_entropy(a: Array, y: Array) -> Float64Array:
    """J = −Σ_i y_i ln a_i.

    An a_i that underflowed to 0 counts as the smallest normal number of its dtype, so that J of one example
    ends at 87.3 (float32) or 708.4 (float64) nats instead of infinity; δ stays a − y there.
    """
    logarithms = np.maximum(a, _FLOOR[a.dtype.char]).astype(_FLOAT64)
    np.log(logarithms, logarithms)
    surprise: Float64Array = np.einsum("...ik,...ik->...k", y, logarithms)
    return -surprise


def softmax_cross_entropy_total(a: Array, y: Array, v: Array | None = None) -> float:
    """Takes logarithms only where v_k y_i is not 0: one for each example, when y names a class."""
    if v is not None:
        y = y * v[..., None, :]
    likely = y.astype(bool).ravel().nonzero()[0]
    logarithms = np.maximum(a.take(likely), _FLOOR[a.dtype.char]).astype(_FLOAT64)
    np.log(logarithms, logarithms)
    return -float(y.take(likely).astype(_FLOAT64).dot(logarithms))


def sigmoid_cross_entropy(a: Array, y: Array) -> Float64Array:
    """J = −Σ_i y_i ln a_i + (1 − y_i) ln(1 − a_i), one independent label per output.

    ln a_i is floored as in softmax_cross_entropy; 1 − a_i counts as at least half of the spacing of the
    dtype below 1, the most that an a_i rounded to 1 can have hidden: ln ≥ −17.3 (float32), −37.4 (float64).
    """
    a64 = a.astype(np.float64)
    floor, gap = np.finfo(a.dtype).tiny, np.finfo(a.dtype).epsneg / 2
    logarithms = y * np.log(np.maximum(a64, floor)) + (1.0 - y) * np.log(np.maximum(1.0 - a64, gap))
    surprise: Float64Array = logarithms.sum(axis=-2)
    return -surprise


def sigmoid_cross_entropy_total(a: Array, y: Array, v: Array | None = None) -> float:
    examples = sigmoid_cross_entropy(a, y)
    return float(np.add.reduce(examples, None)) if v is None else _weighed(examples, v)


# fmt: off
_SQUARED  = Cost(squared_error,         squared_error_total,         np.subtract,          at_z=False)
_ABSOLUTE = Cost(absolute_error,        absolute_error_total,        absolute_error_delta, at_z=False)
_HUBER    = Cost(huber,                 huber_total,                 huber_delta,          at_z=False)
_SOFTMAX  = Cost(softmax_cross_entropy, softmax_cross_entropy_total, np.subtract,          at_z=True)
_SIGMOID  = Cost(sigmoid_cross_entropy, sigmoid_cross_entropy_total, np.subtract,          at_z=True)

_ELEMENTWISE = [name for name, activation in ACTIVATIONS.items() if activation.f_prime]

# The form of each cost, by the output layer's activation.
COSTS: dict[str, dict[str, Cost]] = {
    "squared_error":  dict.fromkeys(_ELEMENTWISE, _SQUARED),
    "absolute_error": dict.fromkeys(_ELEMENTWISE, _ABSOLUTE),
    "huber":          dict.fromkeys(_ELEMENTWISE, _HUBER),
    "cross_entropy":  {"softmax": _SOFTMAX, "sigmoid": _SIGMOID},
}
# fmt: on


def allowed(cost: str, output_activation: str) -> bool:
    """Whether the cost is defined for an output layer with this activation."""
    return output_activation in COSTS[cost]
