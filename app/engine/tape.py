"""Equations written once, and either computed at once or taped and played many times.

`do(np.dot, W, a, z)` computes when ``do`` is `now`, and is noted down when ``do`` is a `Tape`. Training plays
the same tape at every step: the same calls in the same order, without the Python between them.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from operator import call

Do = Callable[..., object]


def now(function: Callable[..., object], *arguments: object) -> None:
    """Compute at once."""
    function(*arguments)


class Tape(list[Callable[[], object]]):
    """A list of calls. The arrays in it are bound: what they hold when it is played is what counts."""

    def __call__(self, function: Callable[..., object], *arguments: object) -> None:
        self.append(partial(function, *arguments))


def play(tape: Iterable[Callable[[], object]]) -> None:
    """Make every call in turn; the loop itself is C, and costs 30 ns a call."""
    deque(map(call, tape), maxlen=0)
