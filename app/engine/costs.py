"""J and its error term at the output layer side by side, a table by name. Examples are columns."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.activations import ACTIVATIONS, Array

Float64Array = NDArray[np.float64]


class Cost(NamedTuple):
    """One row of the table; a and y have shape (s_n, m), or (…, s_n, m).

    ``examples(a, y)``: J of each example, shape (m,) or (…, m), always float64; finite for every
    finite a. ``total(a, y)``: their sum. ``delta(a, y, out)`` writes ∂J/∂a (17), or ∂J/∂z (14) where
    ``at_z``: then a − y replaces (15) with (17) and f′ of the output layer is not used.
    """

    examples: Callable[[Array, Array], Float64Array]
    total: Callable[[Array, Array], float]
    delta: Callable[[Array, Array, Array], object]
    at_z: bool


def squared_error(a: Array, y: Array) -> Float64Array:
    """J = ½ ‖a − y‖² (5), squared and added up in float64."""
    difference = np.subtract(a, y).astype(np.float64)
    squares: Float64Array = np.einsum("...ik,...ik->...k", difference, difference)
    return 0.5 * squares


def squared_error_total(a: Array, y: Array) -> float:
    difference = np.subtract(a, y).ravel(order="K").astype(np.float64)
    return 0.5 * float(np.dot(difference, difference))


def softmax_cross_entropy(a: Array, y: Array) -> Float64Array:
    """J = −Σ_i y_i ln a_i.

    An a_i that underflowed to 0 counts as the smallest normal number of its dtype, so that J of one example
    ends at 87.3 (float32) or 708.4 (float64) nats instead of infinity; δ stays a − y there.
    """
    floor = np.finfo(a.dtype).tiny
    logarithms = np.log(np.maximum(a, floor, dtype=np.float64))
    surprise: Float64Array = np.einsum("...ik,...ik->...k", y, logarithms)
    return -surprise


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


def _summed(examples: Callable[[Array, Array], Float64Array]) -> Callable[[Array, Array], float]:
    return lambda a, y: float(examples(a, y).sum())


# fmt: off
_SQUARED = Cost(squared_error, squared_error_total, np.subtract, at_z=False)
_SOFTMAX = Cost(softmax_cross_entropy, _summed(softmax_cross_entropy), np.subtract, at_z=True)
_SIGMOID = Cost(sigmoid_cross_entropy, _summed(sigmoid_cross_entropy), np.subtract, at_z=True)

# The form of each cost, by the output layer's activation.
COSTS: dict[str, dict[str, Cost]] = {
    "squared_error": {name: _SQUARED for name, activation in ACTIVATIONS.items() if activation.f_prime},
    "cross_entropy": {"softmax": _SOFTMAX, "sigmoid": _SIGMOID},
}
# fmt: on


def allowed(cost: str, output_activation: str) -> bool:
    """Whether the cost is defined for an output layer with this activation."""
    return output_activation in COSTS[cost]
