"""The paper's equations, one to a line. Examples are columns: x is (s_1, m), z and a and delta (s_l, m).

The functions allocate what they answer with, unless they are given Buffers to write ``into``; training gives
them the same ones at every step. The arithmetic is the same either way. A NumPy call's last argument is the
array it writes to. np.dot takes a microsecond less than np.matmul, and with an inner dimension of 1 a sixth.
"""

from typing import NamedTuple

import numpy as np

from app.engine.costs import Cost
from app.engine.network import Architecture, Array, Parameters, aligned_zeros

Layers = dict[int, Array]


class Buffers(NamedTuple):
    """Room for m examples: by layer, arrays (s_l, m) in C order; ``ones`` is (m, 1).

    Unless ``apart``, z[l] is a[l] itself where f′ needs only a: z is lost, and the cache has less to hold.
    The slope[l], f′(z^(l)), all share one piece of memory: each is read before the next is written. a[1] is
    the caller's x.
    """

    z: Layers
    a: Layers
    slope: Layers
    delta: Layers
    ones: Array

    @classmethod
    def of(
        cls, architecture: Architecture, m: int, dtype: np.dtype[np.generic], apart: bool = False
    ) -> "Buffers":
        s, activations = architecture.s, architecture.activations

        def room(units: int) -> Array:
            return aligned_zeros(units * m, dtype).reshape(units, m)

        a = {l: room(s[l]) for l in activations}
        z = {l: room(s[l]) if apart or activations[l].reads_z else a[l] for l in activations}
        shared = room(max(s[l] for l in activations))
        ones = np.ones((m, 1), dtype)
        return cls(z, a, {l: shared[: s[l]] for l in activations}, {l: room(s[l]) for l in activations}, ones)


def forward(
    architecture: Architecture, parameters: Parameters, x: Array, into: Buffers | None = None
) -> tuple[Layers, Layers]:
    """z (2) and a (3) of every layer; a[n] is h_{W,b}(x) (4)."""
    n, f = architecture.n, architecture.f
    W, b = parameters.W, parameters.b
    room = into or Buffers.of(architecture, x.shape[1], x.dtype, apart=True)
    z, a = room.z, room.a
    a[1] = x
    for l in range(1, n):
        np.dot(W[l], a[l], z[l + 1])
        np.add(z[l + 1], b[l], z[l + 1])  # (2)
        f[l + 1](z[l + 1], a[l + 1])  # (3)
    return z, a


def backward(
    architecture: Architecture,
    parameters: Parameters,
    cost: Cost,
    z: Layers,
    a: Layers,
    y: Array,
    share: Array | float | None = None,
    into: Buffers | None = None,
) -> Layers:
    """δ (14) of layers n … 2, each example's own: ∂J(W,b; x^(k), y^(k)) / ∂z^(l) in column k.

    With ``share`` = 1/m they are the error terms of the mean (6) instead: δ^(n) is multiplied by it, and
    (18) and (15), linear in δ, carry it down. That is the sum (1/m) Σ_k of (9) and (10) at its cheapest.
    """
    n, f_prime, W_T = architecture.n, architecture.f_prime, parameters.W_T
    room = into or Buffers.of(architecture, y.shape[1], y.dtype)
    slope, delta = room.slope, room.delta
    cost.delta(a[n], y, delta[n])  # (17)
    if not cost.at_z:
        f_prime[n](z[n], a[n], slope[n])
        np.multiply(delta[n], slope[n], delta[n])  # (15)
    if share is not None:
        np.multiply(delta[n], share, delta[n])
    for l in range(n - 1, 1, -1):
        np.dot(W_T[l], delta[l + 1], delta[l])  # (18)
        f_prime[l](z[l], a[l], slope[l])
        np.multiply(delta[l], slope[l], delta[l])  # (15)
    return delta


def summed_gradient(
    architecture: Architecture, a: Layers, delta: Layers, ones: Array, out: Parameters
) -> Parameters:
    """Σ_k ∂J_k/∂W^(l) and Σ_k ∂J_k/∂b^(l): a product with the columns aᵀ, and with a column of ones."""
    for l in range(1, architecture.n):
        np.dot(delta[l + 1], a[l].T, out.W[l])  # (11), (13)
        np.dot(delta[l + 1], ones, out.b[l])  # (12)
    return out


def gradient(
    architecture: Architecture, parameters: Parameters, a: Layers, delta: Layers, lambda_: float
) -> Parameters:
    """∇W (9) and ∇b (10), from each example's own δ."""
    m = a[1].shape[1]
    ones = np.ones((m, 1), a[1].dtype)
    nabla = summed_gradient(architecture, a, delta, ones, Parameters.zeros(architecture, a[1].dtype))
    nabla.flat *= 1 / m  # (10)
    nabla.weights += lambda_ * parameters.weights  # (9)
    return nabla


def overall_cost(cost: Cost, parameters: Parameters, a_n: Array, y: Array, lambda_: float = 0.0) -> float:
    """J(W,b) of (6): the mean over the m examples, and the decay of every weight and no bias."""
    return cost.total(a_n, y) / int(y.shape[1]) + 0.5 * lambda_ * parameters.squared_weights()


def predict(architecture: Architecture, parameters: Parameters, rows: Array) -> Array:
    """h_{W,b}(x) (4) for rows (m, s_1) in the parameters' dtype, as rows (m, s_n). Reentrant."""
    W, b, f = parameters.W, parameters.b, architecture.f
    a = rows.T
    for l in range(1, architecture.n):
        z = np.dot(W[l], a)
        np.add(z, b[l], z)  # (2)
        a = z
        f[l + 1](z, a)  # (3)
    return a.T
