"""The paper's equations, one to a line. Examples are columns: x is (s_1, m), z and a and delta (s_l, m).

Each equation is written for some neurons ``i`` or ``j`` and some examples ``k``: all of them, unless a step
is cut into leaves. ``do`` computes a line at once or tapes it, to be played at every step; the arithmetic is
the same. A call's last argument is the array that it writes to.
"""

from typing import NamedTuple

import numpy as np

from app.engine.costs import Cost
from app.engine.memory import Array, Zeros, aligned_zeros
from app.engine.network import Architecture, Parameters
from app.engine.tape import Do, now

Layers = dict[int, Array]
ALL = slice(None)
CACHED_BYTES = 2**18


class Room(NamedTuple):
    """Where m examples go through the network: by layer, arrays (s_l, m); a[1] is x, and ``ones`` is (m, 1).

    Unless they are ``apart``, z[l] is a[l] itself where f′ needs only a: z is lost, and the cache has less to
    hold. The slope[l], f′(z^(l)), share one piece of memory: each is read before the next is written. A layer
    with dropout has a slope of its own and a mask, 0 or 1 / (1 − p) for each of its outputs.
    """

    z: Layers
    a: Layers
    slope: Layers
    delta: Layers
    mask: Layers
    ones: Array

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        m: int,
        dtype: np.dtype[np.generic],
        *,
        zeros: Zeros = aligned_zeros,
        apart: bool = False,
    ) -> "Room":
        s, activations = architecture.s, architecture.activations
        dropping = [l for l, p in architecture.dropout.items() if p]

        def room(l: int) -> Array:
            return zeros(s[l] * m, dtype).reshape(s[l], m)

        a = {l: room(l) for l in activations}
        z = {l: room(l) if apart or activations[l].reads_z else a[l] for l in activations}
        common = zeros(max(s[l] for l in activations) * m, dtype)
        slope = {l: room(l) if l in dropping else common[: s[l] * m].reshape(s[l], m) for l in activations}
        ones = zeros(m, dtype).reshape(m, 1)
        ones.fill(1.0)
        return cls(z, a, slope, {l: room(l) for l in activations}, {l: room(l) for l in dropping}, ones)

    def holding(self, x: Array, output: Array | None = None) -> "Room":
        """The same room with these inputs and, if given, this place for a^(n)."""
        z, a = {**self.z}, {**self.a, 1: x}
        if output is not None:
            n = max(a)
            z[n], a[n] = output if z[n] is a[n] else z[n], output
        return self._replace(z=z, a=a)


def product(do: Do, A: Array, B: Array, out: Array) -> None:
    """A B. ``dot`` is quicker for small matrices, where it can do without copying any of the three."""
    if out.flags.c_contiguous and A.flags.forc and B.flags.forc:
        do(np.ndarray.dot, A, B, out)  # np.dot itself takes a tenth of a microsecond longer to call
    else:
        do(np.matmul, A, B, out)


def in_cache(array: Array) -> list[slice]:
    """Its rows in parts that stay in the second-level cache while one line after another goes over them."""
    rows = max(1, CACHED_BYTES // max(1, array[:1].nbytes))
    return [slice(first, first + rows) for first in range(0, len(array), rows)]


def layer_forward(
    network: Architecture, theta: Parameters, room: Room, l: int, do: Do = now, i: slice = ALL, k: slice = ALL
) -> None:
    """z (2) and a (3) of layer l + 1, from a of layer l."""
    W, b, f, a = theta.W[l], theta.b[l], network.f[l + 1], room.a[l][:, k]
    z_next = room.z[l + 1][i, k]
    a_next = z_next if room.z[l + 1] is room.a[l + 1] else room.a[l + 1][i, k]
    product(do, W[i], a, z_next)
    for part in in_cache(z_next) if l + 1 < network.n else [ALL]:  # softmax needs all of its layer
        z_part, b_part = z_next[part], b[i][part]
        do(np.add, z_part, b_part, z_part)  # (2)
        do(f, z_part, z_part if a_next is z_next else a_next[part])  # (3)
    if l + 1 in room.mask:  # f′ first: it may need a as it is without dropout
        slope, mask = room.slope[l + 1][i, k], room.mask[l + 1][i, k]
        do(network.f_prime[l + 1], z_next, a_next, slope)
        do(np.multiply, slope, mask, slope)
        do(np.multiply, a_next, mask, a_next)


def output_delta(
    network: Architecture, cost: Cost, room: Room, y: Array, share: Array | None, do: Do = now, k: slice = ALL
) -> None:
    """δ^(n) (14): each example's own, ∂J(W,b; x^(k), y^(k)) / ∂z^(n) in column k.

    With ``share`` = 1/m or v_k / Σv, (1, m), they are the error terms of the mean (6) instead, and (18) and
    (15), linear in δ, carry it down: that is the sum (1/m) Σ_k of (9) and (10) at its cheapest.
    """
    n = network.n
    z, a, slope, delta = room.z[n][:, k], room.a[n][:, k], room.slope[n][:, k], room.delta[n][:, k]
    do(cost.delta, a, y[:, k], delta)  # (17)
    if not cost.at_z:
        do(network.f_prime[n], z, a, slope)
        do(np.multiply, delta, slope, delta)  # (15)
    if share is not None:
        do(np.multiply, delta, share[..., k] if share.ndim else share, delta)


def layer_backward(
    network: Architecture, theta: Parameters, room: Room, l: int, do: Do = now, i: slice = ALL, k: slice = ALL
) -> None:
    """δ^(l) of a hidden layer (14), from δ^(l+1)."""
    z, a, slope, delta = (each[l][i, k] for each in (room.z, room.a, room.slope, room.delta))
    product(do, theta.W_T[l][i], room.delta[l + 1][:, k], delta)  # (18)
    for part in in_cache(delta):
        if l not in room.mask:
            do(network.f_prime[l], z[part], a[part], slope[part])
        do(np.multiply, delta[part], slope[part], delta[part])  # (15)


def weight_gradient(
    room: Room, nabla: Parameters, l: int, do: Do = now, i: slice = ALL, j: slice = ALL
) -> None:
    """Σ_k ∂J_k/∂W_ij^(l): a product with the columns of aᵀ."""
    product(do, room.delta[l + 1][i], room.a[l][j].T, nabla.W[l][i, j])  # (11), (13)


def bias_gradient(room: Room, nabla: Parameters, l: int, do: Do = now, i: slice = ALL) -> None:
    """Σ_k ∂J_k/∂b_i^(l): a product with a column of ones."""
    product(do, room.delta[l + 1][i], room.ones, nabla.b[l][i])  # (12)


def forward(
    network: Architecture, theta: Parameters, x: Array, room: Room | None = None
) -> tuple[Layers, Layers]:
    """z (2) and a (3) of every layer; a[n] is h_{W,b}(x) (4). Without dropout."""
    if room is None:
        room = Room.of(network, x.shape[1], x.dtype, apart=True)
    room = room.holding(x)._replace(mask={})
    for l in range(1, network.n):
        layer_forward(network, theta, room, l)
    return room.z, room.a


def backward(network: Architecture, theta: Parameters, cost: Cost, z: Layers, a: Layers, y: Array) -> Layers:
    """δ (14) of layers n … 2: each example's own, in column k."""
    n = network.n
    room = Room.of(network, y.shape[1], y.dtype)._replace(z=z, a=a, mask={})
    output_delta(network, cost, room, y, None)
    for l in range(n - 1, 1, -1):
        layer_backward(network, theta, room, l)
    return room.delta


def gradient(
    network: Architecture,
    theta: Parameters,
    a: Layers,
    delta: Layers,
    lambda_: float,
    v: Array | None = None,
) -> Parameters:
    """∇W (9) and ∇b (10) from each example's own δ; with weights v (m,), Σ_k v_k … / Σ_k v_k is for (1/m)
    Σ_k.
    """
    m = a[1].shape[1]
    if v is not None:
        delta = {l: each * (v / v.sum()) for l, each in delta.items()}
    room = Room({}, a, {}, delta, {}, np.ones((m, 1), a[1].dtype))
    nabla = Parameters.zeros(network, a[1].dtype)
    for l in range(1, network.n):
        weight_gradient(room, nabla, l)
        bias_gradient(room, nabla, l)
    if v is None:
        nabla.flat *= 1 / m  # (10)
    nabla.weights += lambda_ * theta.weights  # (9)
    return nabla


def overall_cost(
    cost: Cost, theta: Parameters, a_n: Array, y: Array, lambda_: float = 0.0, v: Array | None = None
) -> float:
    """J(W,b) of (6): the mean over the m examples, and the decay of every weight and no bias."""
    total = float(y.shape[1]) if v is None else float(v.sum())
    return cost.total(a_n, y, v) / total + 0.5 * lambda_ * theta.squared_weights()


def predict(network: Architecture, theta: Parameters, rows: Array) -> Array:
    """h_{W,b}(x) (4) for rows (m, s_1) in the parameters' dtype, as rows (m, s_n). Reentrant."""
    W, b, f = theta.W, theta.b, network.f
    a = rows.T
    for l in range(1, network.n):
        z = np.dot(W[l], a)
        np.add(z, b[l], z)  # (2)
        a = z
        f[l + 1](z, a)  # (3)
    return a.T
