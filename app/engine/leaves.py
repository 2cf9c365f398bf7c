"""How a step is cut into leaves: fixed parts that depend on the plan alone, computed by one process or by
several.

A step on a minibatch is cut by neurons (the wide layers) and by examples (a narrow output layer): each leaf
computes its own rows of z, a, δ and ∇, stage by stage, and nothing is added up across leaves. A minibatch too
large for the cache is cut by examples (`blocks`): each leaf sums the gradient of its own, and the sums are
added two by two. Either way the same numbers are added in the same order, whoever computes which leaf.
"""

from collections.abc import Collection

import numpy as np

from app.engine.backprop import (
    Room,
    bias_gradient,
    layer_backward,
    layer_forward,
    output_delta,
    weight_gradient,
)
from app.engine.costs import Cost
from app.engine.dropout import Masks
from app.engine.memory import Array
from app.engine.network import Architecture, Parameters
from app.engine.tape import Do, Tape

Stage = list[Tape]
"""Tapes that do not need one another, one for each leaf. A stage needs all of the stage before it."""

LEAVES = ((2 * 10**11, 8), (2 * 10**10, 4), (2 * 10**7, 2))
"""Multiply-adds of a minibatch's step, and its leaves: a product in halves is a few per cent slower, in
quarters more.
"""

BLOCKS_LEAF_WORK = 5 * 10**6
LAYER_WORK = 5 * 10**5
"""Multiply-adds of one layer's equation, of each leaf: with fewer, one leaf does it alone."""

GRAIN = 16
PIECE_ROWS = 4096
BLOCK_ROWS = 1024
"""A minibatch of more than PIECE_ROWS examples goes through the network BLOCK_ROWS at a time."""

MOST_GRADIENT_ITEMS = 2**26

LARGE_ITEMS = 2**18
"""A W^(l) of so many numbers is larger than half of a core's second-level cache."""


def leaves_for(architecture: Architecture, batch_size: int) -> int:
    """How many leaves a step has. A part of the plan: with another number the last bits are others."""
    work = multiply_adds(architecture, batch_size)
    if batch_size <= PIECE_ROWS:
        return next((leaves for least, leaves in LEAVES if work >= least), 1)
    room = MOST_GRADIENT_ITEMS // architecture.parameter_count  # each leaf has a gradient of its own
    most = min(batch_size // BLOCK_ROWS, room, work // BLOCKS_LEAF_WORK)
    return next((leaves for leaves in (8, 4, 2) if leaves <= most), 1)


def multiply_adds(architecture: Architecture, examples: int) -> int:
    """Of one step: (2), (11) and, but for the first layer, (18)."""
    s = architecture.s
    return examples * (3 * architecture.parameter_count - s[1] * s[2])


def cut(size: int, parts: int, grain: int = GRAIN) -> list[slice]:
    """0 … size in ``parts`` slices, all but the last of the same multiple of ``grain``; some may be empty."""
    length = -(-size // (parts * grain)) * grain
    return [slice(min(q * length, size), min((q + 1) * length, size)) for q in range(parts)]


def tree(do: Do, parts: list[Parameters], span: slice) -> None:
    """The sum of the parts over a span of their flat vectors, two by two, left in the first."""
    stride = 1
    while stride < len(parts):
        for q in range(0, len(parts) - stride, 2 * stride):
            do(np.add, parts[q].flat[span], parts[q + stride].flat[span], parts[q].flat[span])
        stride *= 2


def stages_of_step(
    network: Architecture,
    theta: Parameters,
    nabla: Parameters,
    cost: Cost,
    room: Room,
    y: Array,
    share: Array,
    masks: Masks,
    leaves: int,
    step: int,
    direct: Collection[int] = (),
) -> list[Stage]:
    """Forward, backward and the gradient (10) of a minibatch, the ``step``-th of its piece (0, 1, …).

    ∇W^(l) is not computed for the layers l that are updated by their ``direct`` product (`update`).
    """
    n, s, m = network.n, network.s, y.shape[1]

    def shares(size: int, work: int) -> list[tuple[int, slice]]:
        parts = cut(size, leaves) if work >= LAYER_WORK * leaves else [slice(0, size)]
        return [(q, part) for q, part in enumerate(parts) if part.start < part.stop]

    def stage() -> Stage:
        stages.append([Tape() for _ in range(leaves)])
        return stages[-1]

    stages: list[Stage] = []
    for l in range(1, n - 1):
        tapes = stage()
        for q, i in shares(s[l + 1], m * s[l] * s[l + 1]):
            if l + 1 in room.mask:
                tapes[q](masks.draw, room.mask[l + 1][i], l + 1, q, step)
            layer_forward(network, theta, room, l, tapes[q], i=i)
    tapes = stage()
    for q, k in shares(m, m * s[n - 1] * s[n]):
        layer_forward(network, theta, room, n - 1, tapes[q], k=k)
        output_delta(network, cost, room, y, share, tapes[q], k)
    for l in range(n - 1, 1, -1):
        tapes = stage()
        for q, i in shares(s[l], m * s[l] * s[l + 1]):
            layer_backward(network, theta, room, l, tapes[q], i=i)
    tapes = stage()
    for l in range(1, n):
        bias_gradient(room, nabla, l, tapes[(l - 1) % leaves])
        if l in direct:
            continue
        by_row = s[l + 1] >= GRAIN * leaves
        for q, part in shares(s[l + 1] if by_row else s[l], m * s[l] * s[l + 1]):
            if by_row:
                weight_gradient(room, nabla, l, tapes[q], i=part)
            else:
                weight_gradient(room, nabla, l, tapes[q], j=part)
    return stages


def shares_of_parameters(parameters: Parameters, leaves: int) -> list[list[slice]]:
    """Which slices of the flat vector each leaf updates: of a wide W^(l), the rows that it computes ∇ of."""
    if leaves == 1 and len(parameters.flat) < LARGE_ITEMS:
        return [[slice(0, len(parameters.flat))]]
    s = parameters.architecture.s
    shares: list[list[slice]] = [[] for _ in range(leaves)]
    for l, span in parameters.spans.items():
        for q, part in enumerate(cut(span.stop - span.start, leaves, GRAIN * s[l])):
            if part.start < part.stop:
                shares[q].append(slice(span.start + part.start, span.start + part.stop))
    shares[-1].append(slice(len(parameters.weights), len(parameters.flat)))
    return shares
