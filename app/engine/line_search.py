"""A step length that meets the strong Wolfe conditions: Nocedal & Wright 2006, algorithms 3.5 and 3.6.

What the book leaves open is decided as in PyTorch's LBFGS, so that both take the same steps. They part where
a point is lower than all before it and yet violates (3.7a): there it becomes the bracket's lower end, and the
minimum can get lost; here, as in the book, the far end.
"""

import math
from collections.abc import Generator
from typing import NamedTuple

C1, C2 = 1e-4, 0.9
MOST_EVALUATIONS = 25
# A bracket in which no parameter moves by as much as this is not searched further.
SHORTEST = 1e-9


class Point(NamedTuple):
    """J and its derivative along the direction, at step length t."""

    t: float
    J: float
    slope: float


class Found(NamedTuple):
    """``wolfe``: the point meets both conditions. Without, it meets (3.7a) only, or is the start."""

    point: Point
    wolfe: bool


# Yields the step lengths at which it wants to know (J, slope).
Search = Generator[float, tuple[float, float], Found]


def strong_wolfe(start: Point, t: float, reach: float) -> Search:
    """Search from ``start``, at t = 0 and with a negative slope, beginning with the step length t.

    ``reach`` is how far a step of length 1 moves the parameter that it moves most. Asks at most
    MOST_EVALUATIONS times. Where J or the slope is not finite the step was too long.
    """
    previous = start
    for count in range(1, MOST_EVALUATIONS + 1):
        new = _point(t, *(yield t))
        # PyTorch's third point is the first to be compared with the one before it, the book's the second.
        if not _falls_enough(start, new) or (count > 2 and new.J >= previous.J):
            return (yield from _zoom(start, previous, new, reach, MOST_EVALUATIONS - count))
        if _is_level(start, new):
            return Found(new, True)
        if new.slope >= 0:
            low, high = (new, previous) if new.J < previous.J else (previous, new)
            return (yield from _zoom(start, low, high, reach, MOST_EVALUATIONS - count))
        t = cubic_minimum(previous, new, new.t + 0.01 * (new.t - previous.t), 10 * new.t)
        previous = new
    return Found(previous, False)


def _zoom(start: Point, low: Point, high: Point, reach: float, evaluations: int) -> Search:
    """Algorithm 3.6. ``low`` is the lowest point that meets (3.7a), and falls towards ``high``."""
    near_an_end = False
    for _ in range(evaluations):
        if abs(high.t - low.t) * reach < SHORTEST:
            break
        t, near_an_end = _between(low, high, near_an_end)
        new = _point(t, *(yield t))
        if not _falls_enough(start, new) or new.J >= low.J:
            high = new
            continue
        if _is_level(start, new):
            return Found(new, True)
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return Found(low, False)


def _between(low: Point, high: Point, near_an_end: bool) -> tuple[float, bool]:
    """The next step length to try, and whether it is close to an end of the bracket.

    Twice running may not be, nor at the end itself: then a tenth of the bracket away from it.
    """
    least, most = min(low.t, high.t), max(low.t, high.t)
    t = cubic_minimum(low, high, least, most)
    tenth = 0.1 * (most - least)
    if min(most - t, t - least) >= tenth:
        return t, False
    if not near_an_end and least < t < most:
        return t, True
    return (most - tenth if most - t < t - least else least + tenth), False


def cubic_minimum(one: Point, other: Point, least: float, most: float) -> float:
    """Where the cubic through both points is least, (3.59), within least … most; their middle if nowhere."""
    a, b = (one, other) if one.t <= other.t else (other, one)
    d1 = a.slope + b.slope - 3 * (a.J - b.J) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square >= 0:
        d2 = math.sqrt(square)
        divisor = b.slope - a.slope + 2 * d2
        if divisor != 0:
            t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / divisor)  # (3.59)
            if not math.isnan(t):
                return min(max(t, least), most)
    return (least + most) / 2


def _point(t: float, J: float, slope: float) -> Point:
    if math.isfinite(J) and math.isfinite(slope):
        return Point(t, J, slope)
    return Point(t, math.inf, math.nan)  # too high, and no cubic goes through it: the middle is next


def _falls_enough(start: Point, point: Point) -> bool:
    return start.J + C1 * point.t * start.slope >= point.J  # (3.7a)


def _is_level(start: Point, point: Point) -> bool:
    return abs(point.slope) <= -C2 * start.slope  # (3.7b)
