"""Every number of one iteration of gradient descent, in float64, to be read beside the paper."""

from dataclasses import dataclass

import numpy as np

from app.engine.backprop import backward, forward, gradient, overall_cost
from app.engine.costs import COSTS
from app.engine.memory import Array
from app.engine.network import Architecture, Parameters


@dataclass(frozen=True)
class Trace:
    """One iteration over m examples. By layer l, arrays with a row per example: (m, s_l).

    ``z`` (2), ``f_prime`` and each example's own ``delta`` (14)-(18) for l = 2 … n; ``a`` (3) for l = 1 … n.
    f_prime[n] is None where cost and output layer give δ^(n) = a − y directly. ``costs`` are the examples'
    J (m,), (5) or its extension, and ``cost`` is (6). ``nabla`` is ∇W (9) and ∇b (10), ``updated`` the
    parameters after (7) and (8), both for l = 1 … n-1.
    """

    z: dict[int, Array]
    a: dict[int, Array]
    f_prime: dict[int, Array | None]
    delta: dict[int, Array]
    costs: Array
    cost: float
    nabla: Parameters
    updated: Parameters


def trace(
    architecture: Architecture,
    parameters: Parameters,
    x: Array,
    y: Array,
    cost: str,
    alpha: float,
    lambda_: float = 0.0,
) -> Trace:
    """x is rows (m, s_1), y rows (m, s_n); the arguments stay as they are. α and λ are those of (6)-(9)."""
    n, form = architecture.n, COSTS[cost][architecture.layers[-1].activation]
    theta = parameters.astype(np.float64)
    x, y = x.T.astype(np.float64), y.T.astype(np.float64)
    z, a = forward(architecture, theta, x)
    delta = backward(architecture, theta, form, z, a, y)
    slope: dict[int, Array | None] = dict.fromkeys(z)
    for l in range(2, n if form.at_z else n + 1):
        f_prime = np.empty_like(z[l])
        architecture.f_prime[l](z[l], a[l], f_prime)
        slope[l] = f_prime.T
    nabla = gradient(architecture, theta, a, delta, lambda_)
    updated = theta.copy()
    updated.flat -= alpha * nabla.flat  # (7), (8)
    return Trace(
        z={l: array.T for l, array in z.items()},
        a={l: a[l].T for l in sorted(a)},
        f_prime=slope,
        delta={l: delta[l].T for l in sorted(delta)},
        costs=form.examples(a[n], y),
        cost=overall_cost(form, theta, a[n], y, lambda_),
        nabla=nabla,
        updated=updated,
    )
