"""L-BFGS for a full batch: Nocedal & Wright 2006, algorithms 7.4 and 7.5, with a strong Wolfe line search.

An iteration is a generator that asks for J and its gradient, so that its caller may compute them piece by
piece and leave between evaluations. The vectors are flat, of length P, in one dtype.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.engine.line_search import Found, Point, strong_wolfe
from app.engine.memory import Array, aligned_zeros

# s·y / |s| |y| of a pair: with less it would spoil the estimate of the Hessian, and is not remembered.
LEAST_CURVATURE = 1e-10
# A span's vectors stay in the second-level cache. Below 10 000, OpenBLAS' dot uses one thread: the same bits.
SPAN = 8192


@dataclass(frozen=True)
class LBFGS:
    """``memory``, 1 or more, is how many pairs are kept; ``tolerance`` the largest |∂J/∂θ| to stop at."""

    memory: int = 10
    tolerance: float = 1e-7


@dataclass
class LBFGSState:
    """What the iterations remember, and all that they do; J and g at θ can be computed anew, to the bit.

    ``arrays``: "s" and "y" (memory, P) in θ's dtype, the steps θ_{k+1} − θ_k and what they changed in the
    gradient, and "rho" (memory,) in float64, 1 / s·y. The rows are a ring.
    ``scalars``: "count" rows are in use, "next" is the row to be written, the oldest once all are in use;
    "gamma" is the scale of the first estimate of the inverse Hessian (7.20).
    """

    arrays: dict[str, NDArray[Any]]
    scalars: dict[str, float | int]

    def copy(self) -> "LBFGSState":
        return LBFGSState({name: array.copy() for name, array in self.arrays.items()}, self.scalars.copy())


def start(o: LBFGS, theta: Array) -> LBFGSState:
    """The state before the first iteration."""
    s, y = (aligned_zeros(o.memory * len(theta), theta.dtype).reshape(o.memory, -1) for _ in range(2))
    return LBFGSState({"s": s, "y": y, "rho": np.zeros(o.memory)}, {"count": 0, "next": 0, "gamma": 1.0})


class Room(NamedTuple):
    """An iteration's vectors: θ and g at its start, and the direction d. Made anew if it is given none."""

    theta: Array
    g: Array
    d: Array
    scratch: Array

    @classmethod
    def of(cls, theta: Array) -> Self:
        P = len(theta)
        return cls(*(aligned_zeros(size, theta.dtype) for size in (P, P, P, min(P, SPAN))))


class Outcome(NamedTuple):
    """J and g at the θ that the iteration ended at, and how it came there.

    ``g`` is either the array sent last or the room's: it is good until the next evaluation. ``step`` is the
    length in units of the direction d. ``converged``: the tolerance is met. With neither a step nor
    convergence no lower J could be found, and the next iteration would find none either.
    """

    J: float
    g: Array
    step: float
    evaluations: int
    converged: bool


Iteration = Generator[None, tuple[float, Array], Outcome]


def iteration(
    o: LBFGS, state: LBFGSState, theta: Array, J: float, g: Array, room: Room | None = None
) -> Iteration:
    """One iteration from θ, where the cost is J and the gradient g; θ and ``state`` are updated in place.

    At every ``yield`` θ is a point at which the caller must send (J, g); it may be the same array each time.
    If the tolerance is met at once, it asks for nothing. J, or elements of g, may be infinite or NaN.
    If the direction does not lead to a lower J, the memory is dropped and the steepest descent tried.
    ``state`` is written after the last ``yield``. To leave earlier, close the generator: it puts back θ.
    """
    if _largest(g) <= o.tolerance:
        return Outcome(J, g, 0.0, 0, True)
    room = room or Room.of(theta)
    np.copyto(room.theta, theta)
    np.copyto(room.g, g)
    evaluations = 0
    try:
        for count in dict.fromkeys((int(state.scalars["count"]), 0)):
            origin = _aim(state, count, room, J)
            if math.isfinite(J) and -math.inf < origin.slope < 0:
                first = 1.0 if count else min(1.0, 1 / _sum_of_sizes(room.g))
                new = yield from _search(theta, origin, first, room)
                evaluations += new.evaluations
                if new.step:
                    _remember(state, count, new.step, new.g, room)
                    return new._replace(evaluations=evaluations, converged=_largest(new.g) <= o.tolerance)
    except BaseException:
        np.copyto(theta, room.theta)
        raise
    np.copyto(theta, room.theta)
    return Outcome(J, room.g, 0.0, evaluations, False)


def _search(theta: Array, origin: Point, t: float, room: Room) -> Iteration:
    """Go along d to a lower J; a step of 0 if there is none. θ is left at the point asked for last."""
    search, evaluations = strong_wolfe(origin, t, _largest(room.d)), 0
    next(search)
    found: Found | None = None
    while found is None:
        _add(room.theta, t, room.d, room.scratch, theta)
        J, g = yield
        evaluations += 1
        try:
            t = search.send((J, _dot(g, room.d)))
        except StopIteration as end:
            found = end.value
    if not (found.wolfe or found.point.J < origin.J):
        return Outcome(origin.J, room.g, 0.0, evaluations, False)
    if found.point.t != t:
        t = found.point.t
        _add(room.theta, t, room.d, room.scratch, theta)
        J, g = yield
        evaluations += 1
    return Outcome(J, g, t, evaluations, False)


@np.errstate(all="ignore")
def _aim(state: LBFGSState, count: int, room: Room, J: float) -> Point:
    """The direction d = −H ∇ from the newest ``count`` pairs, into the room: algorithm 7.4."""
    s, y, rho = (state.arrays[name] for name in ("s", "y", "rho"))
    newest_first = [(int(state.scalars["next"]) - 1 - i) % len(rho) for i in range(count)]
    d, weight = room.d, {}
    np.negative(room.g, d)
    for i in newest_first:
        weight[i] = float(rho[i]) * _dot(s[i], d)
        _add(d, -weight[i], y[i], room.scratch, d)
    if count:
        np.multiply(d, float(state.scalars["gamma"]), d)  # (7.20)
    for i in reversed(newest_first):
        _add(d, weight[i] - float(rho[i]) * _dot(y[i], d), s[i], room.scratch, d)
    return Point(0.0, J, _dot(room.g, d))


@np.errstate(all="ignore")
def _remember(state: LBFGSState, count: int, t: float, g_new: Array, room: Room) -> None:
    """Add the pair of a step to the newest ``count``. Overwrites the room."""
    s, y = room.d, room.g
    np.multiply(room.d, t, s)
    np.subtract(g_new, room.g, y)
    s_y, s_s, y_y = _dot(s, y), _dot(s, s), _dot(y, y)
    state.scalars["count"] = count
    if s_y > LEAST_CURVATURE * math.sqrt(s_s) * math.sqrt(y_y) and y_y < math.inf:
        row, memory, arrays = int(state.scalars["next"]), len(state.arrays["rho"]), state.arrays
        arrays["s"][row], arrays["y"][row], arrays["rho"][row] = s, y, 1 / s_y
        state.scalars.update(count=min(count + 1, memory), next=(row + 1) % memory, gamma=s_y / y_y)


def _spans(vector: Array) -> Iterator[slice]:
    return (slice(first, first + SPAN) for first in range(0, len(vector), SPAN))


@np.errstate(all="ignore")
def _add(to: Array, factor: float, vector: Array, scratch: Array, out: Array) -> None:
    for cut in _spans(to):
        product = scratch[: len(out[cut])]
        np.multiply(vector[cut], factor, product)
        np.add(to[cut], product, out[cut])


@np.errstate(all="ignore")
def _dot(u: Array, v: Array) -> float:
    """Summed over the spans in float64."""
    return sum(float(np.dot(u[cut], v[cut])) for cut in _spans(u))


def _largest(vector: Array) -> float:
    return max(float(vector.max()), -float(vector.min()))


@np.errstate(all="ignore")
def _sum_of_sizes(vector: Array) -> float:
    return sum(float(np.abs(vector[cut]).sum()) for cut in _spans(vector))
