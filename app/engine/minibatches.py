"""How an epoch is cut up: into steps of one minibatch each, and those into pieces that fit the cache.

The cut depends on the plan and the number of examples alone, never on time or on what ran before, so that
every sum is taken in the same order however often a run is interrupted.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.backprop import Buffers
from app.engine.network import Architecture, Array

# A piece holds up to PIECE_ROWS examples and about PIECE_WORK multiplications (tens of milliseconds), and
# progress can be reported after each. A minibatch of more than PIECE_ROWS is split into BLOCK_ROWS.
PIECE_ROWS = 4096
PIECE_WORK = 10**9
BLOCK_ROWS = 1024


Order = NDArray[np.signedinteger[Any]]


class Piece(NamedTuple):
    """``blocks`` blocks of ``rows`` examples, from example ``first`` of the epoch's order on.

    Each block is a whole minibatch, or there is one block, a part of a minibatch of ``batch`` examples.
    ``starts`` and ``ends`` say whether it is that minibatch's first and last; ``step`` is the number of steps
    of the epoch that are done after it.
    """

    first: int
    rows: int
    blocks: int
    batch: int
    starts: bool
    ends: bool
    step: int

    @property
    def kind(self) -> tuple[int, int]:
        """Pieces of one kind use the same buffers."""
        return self.rows, self.batch


def pieces(architecture: Architecture, m: int, batch_size: int) -> list[Piece]:
    """An epoch of m examples, in order. A smaller last minibatch stands alone."""
    batch = min(batch_size, m)
    work = 3 * architecture.parameter_count * batch
    at_once = max(1, min(PIECE_ROWS // batch, PIECE_WORK // work))
    cut: list[Piece] = []
    first = step = 0
    while first < m:
        size = min(batch, m - first)
        if size > PIECE_ROWS:
            step += 1
            for start in range(0, size, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, size - start)
                ends = start + rows == size
                cut.append(Piece(first + start, rows, 1, size, start == 0, ends, step - (not ends)))
            first += size
        else:
            count = min(at_once, (m - first) // size)
            step += count
            cut.append(Piece(first, size, count, size, True, True, step))
            first += count * size
    return cut


class Loaded(NamedTuple):
    """A piece's examples: of each block x (s_1, rows), y (s_n, rows) and room for its outputs (s_n, rows).

    ``y`` and ``outputs`` are those of all blocks together, (blocks, s_n, rows).
    """

    blocks: list[tuple[Array, Array, Array]]
    y: Array
    outputs: Array


class Stack:
    """Room for pieces like the given one, with as many blocks or fewer. ``share`` is 1/m of (9) and (10)."""

    def __init__(self, architecture: Architecture, piece: Piece, dtype: np.dtype[np.generic]) -> None:
        rows, count, s_n = piece.rows, piece.blocks, architecture.s[architecture.n]
        self.rows = rows
        self.buffers = Buffers.of(architecture, rows, dtype)
        self.share: Array = np.full((), 1 / piece.batch, dtype)
        self.x_rows = np.zeros((rows * count, architecture.s[1]), dtype)
        self.y_rows = np.zeros((rows * count, s_n), dtype)
        self.y = np.zeros((count, s_n, rows), dtype)
        self.outputs = np.zeros((count, s_n, rows), dtype)
        self.gathered = self.views(self.x_rows)

    def views(self, x_rows: Array) -> list[tuple[Array, Array, Array]]:
        count = len(x_rows) // self.rows
        x = [x_rows[i * self.rows : (i + 1) * self.rows].T for i in range(count)]
        return list(zip(x, self.y, self.outputs, strict=False))

    def load(self, piece: Piece, x: Array, y: Array, order: Order | None) -> Loaded:
        """The piece's examples, gathered in this order or, without one, where they lie."""
        chosen = slice(piece.first, piece.first + piece.rows * piece.blocks)
        size = piece.rows * piece.blocks
        y_rows = y[chosen]
        blocks = self.gathered[: piece.blocks]
        if order is None:
            blocks = self.views(x[chosen])
        else:
            # mode="clip" writes straight to out; the default would go through a copy.
            np.take(x, order[chosen], axis=0, out=self.x_rows[:size], mode="clip")
            y_rows = np.take(y, order[chosen], axis=0, out=self.y_rows[:size], mode="clip")
        columns = y_rows.reshape(piece.blocks, piece.rows, -1).transpose(0, 2, 1)
        np.copyto(self.y[: piece.blocks], columns)
        return Loaded(blocks, self.y[: piece.blocks], self.outputs[: piece.blocks])
