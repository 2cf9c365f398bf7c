"""How an epoch is cut up: into steps of one minibatch each, and those into pieces that fit the cache.

The cut depends on the plan and the number of examples alone, never on time or on what ran before, so that
every sum is taken in the same order however often a run is interrupted.
"""

from typing import NamedTuple

from app.engine import leaves
from app.engine.network import Architecture

# A piece is a minibatch, or several that have up to PIECE_ROWS examples and about PIECE_WORK multiplications
# (tens of milliseconds) together, and no more steps than are taped at once. Progress can be reported after
# each.
PIECE_WORK = 10**9
PIECE_STEPS = 16


class Piece(NamedTuple):
    """``steps`` minibatches of ``rows`` examples, from example ``first`` of the epoch's order on.

    ``before`` is the number of steps of the epoch that are done before it; ``last``: it is the epoch's last
    piece.
    """

    first: int
    rows: int
    steps: int
    before: int
    last: bool

    @property
    def after(self) -> int:
        """The number of steps of the epoch that are done after it."""
        return self.before + self.steps

    @property
    def end(self) -> int:
        """The number of examples of the epoch that have been seen after it."""
        return self.first + self.rows * self.steps


def pieces(architecture: Architecture, m: int, batch_size: int) -> list[Piece]:
    """An epoch of m examples, in order. A smaller last minibatch stands alone."""
    batch = min(batch_size, m)
    at_once = max(
        1,
        min(leaves.PIECE_ROWS // batch, PIECE_WORK // leaves.multiply_adds(architecture, batch), PIECE_STEPS),
    )
    cut: list[Piece] = []
    first = before = 0
    while first < m:
        rows = min(batch, m - first)
        steps = min(at_once, (m - first) // rows)
        cut.append(Piece(first, rows, steps, before, first + rows * steps == m))
        first, before = cut[-1].end, cut[-1].after
    return cut
