"""How a step is cut into leaves: fixed parts that depend on the plan alone, computed by one process or by
several.

A step on a minibatch is cut by neurons (the wide layers) and by examples (a narrow output layer): each leaf
computes its own rows of z, a, δ and ∇, stage by stage, and nothing is added up across leaves. A minibatch too
large for the cache is cut by examples (`blocks`): each leaf sums the gradient of its own, and the sums are
added two by two. Either way the same numbers are added in the same order, whoever computes which leaf.
"""

import numpy as np

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
"""Neurons or examples, all but the last leaf has a multiple of. Not less than 8: of an array with 4 (float32)
or 8 (float64) columns, NumPy's np.negative (2.4.6) takes the wrong numbers if it is given some of them.
"""

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


def tree(do: Do, sums: list[Parameters], span: slice) -> None:
    """The sum of the leaves' sums over a span of their flat vectors, two by two, left in the first."""
    stride = 1
    while stride < len(sums):
        for q in range(0, len(sums) - stride, 2 * stride):
            do(np.add, sums[q].flat[span], sums[q + stride].flat[span], sums[q].flat[span])
        stride *= 2


def parts(size: int, work: int, leaves: int) -> list[tuple[int, slice]]:
    """Which leaves share an equation of so many neurons or examples and multiply-adds, and what each has."""
    cuts = cut(size, leaves) if work >= LAYER_WORK * leaves else [slice(0, size)]
    return [(q, part) for q, part in enumerate(cuts) if part.start < part.stop]


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
