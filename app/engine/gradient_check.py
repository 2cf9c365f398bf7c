"""Do (9) and (10) agree with the slope of (6)? Measured for every weight and every bias, in float64."""

from typing import NamedTuple

import numpy as np

from app.engine.backprop import backward, forward, gradient, overall_cost
from app.engine.costs import COSTS
from app.engine.memory import Array
from app.engine.network import Architecture, Parameters


class Check(NamedTuple):
    """The largest |difference| / max(1, |numeric|, |analytic|), and where: as "W2" and (i, j) from 0."""

    worst: float
    name: str
    at: tuple[int, ...]


def check_gradient(
    architecture: Architecture,
    parameters: Parameters,
    x: Array,
    y: Array,
    cost: str,
    lambda_: float = 0.0,
    v: Array | None = None,
) -> Check:
    """Compare backpropagation with (J(θ+ε) − J(θ−ε)) / 2ε, ε = 1e-5 · max(1, |θ|), θ by θ.

    x is rows (m, s_1), y rows (m, s_n), v the examples' weights (m,), not all 0; whatever the dtypes, all is
    computed in float64. At or below 1e-7 for smooth activations and costs; near a kink of f or of J, or where
    their slope has one, the numeric slope itself is wrong. Two forward passes for each parameter: for small
    networks.
    """
    form = COSTS[cost][architecture.layers[-1].activation]
    theta = parameters.astype(np.float64)
    x, y = x.T.astype(np.float64), y.T.astype(np.float64)
    v = None if v is None else v.astype(np.float64)

    def overall() -> float:
        _, a = forward(architecture, theta, x)
        return overall_cost(form, theta, a[architecture.n], y, lambda_, v)  # (6)

    z, a = forward(architecture, theta, x)
    delta = backward(architecture, theta, form, z, a, y)
    analytic = dict(gradient(architecture, theta, a, delta, lambda_, v).named())
    found = Check(-1.0, "", ())
    for name, array in theta.named():
        for index in np.ndindex(array.shape):
            kept = float(array[index])
            epsilon = 1e-5 * max(1.0, abs(kept))
            array[index] = kept + epsilon
            above = overall()
            array[index] = kept - epsilon
            below = overall()
            array[index] = kept
            numeric, ours = (above - below) / (2 * epsilon), float(analytic[name][index])
            error = abs(numeric - ours) / max(1.0, abs(numeric), abs(ours))
            if not error <= found.worst:  # a NaN counts as worse
                found = Check(error, name, index)
    return found
