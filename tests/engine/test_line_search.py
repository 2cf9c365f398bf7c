import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.line_search import C1, C2, MOST_EVALUATIONS, Found, Point, cubic_minimum, strong_wolfe

Line = Callable[[float], tuple[float, float]]


def searched(line: Line, t: float, reach: float = 1.0) -> tuple[Found, list[float]]:
    """What the search finds, and where it asked."""
    start, asked = Point(0.0, *line(0.0)), [t]
    search = strong_wolfe(start, t, reach)
    assert next(search) == t
    while True:
        try:
            asked.append(search.send(line(asked[-1])))
        except StopIteration as end:
            return end.value, asked


def meets_both_conditions(line: Line, found: Found) -> bool:
    (J0, slope0), (J, slope) = line(0.0), line(found.point.t)
    falls = J0 + C1 * found.point.t * slope0 >= J
    return found.wolfe and found.point == (found.point.t, J, slope) and falls and abs(slope) <= -C2 * slope0


def parabola(t: float) -> tuple[float, float]:
    return (t - 3) ** 2, 2 * (t - 3)


def waves(t: float) -> tuple[float, float]:
    return math.cos(5 * t) - t / 9, -5 * math.sin(5 * t) - 1 / 9 - (t == 0)


def more_thuente(t: float) -> tuple[float, float]:
    """Moré & Thuente 1994, (5.1) with β = 2."""
    return -t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2


@pytest.mark.parametrize("line", [parabola, waves, more_thuente])
@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_the_step_meets_the_strong_wolfe_conditions(line: Line, t: float) -> None:
    found, asked = searched(line, t)
    assert meets_both_conditions(line, found)
    assert len(asked) <= MOST_EVALUATIONS
    assert asked[-1] == found.point.t


def told(t: float, *answers: tuple[float, float]) -> tuple[list[float], Found | None]:
    """Where a search from J = 0 and slope −1 asks, and what it finds if it ends."""
    search = strong_wolfe(Point(0.0, 0.0, -1.0), t, 1.0)
    asked = [next(search)]
    for answer in answers:
        try:
            asked.append(search.send(answer))
        except StopIteration as end:
            return asked, end.value
    return asked, None


@pytest.mark.parametrize(
    ("J", "slope", "taken"),
    [(-0.00011, 0.89, True), (-0.00011, -0.89, True), (-0.00009, 0.1, False), (-0.00011, -0.91, False)],
)
def test_what_is_enough(J: float, slope: float, taken: bool) -> None:
    _, found = told(1.0, (J, slope))
    assert (found == Found(Point(1.0, J, slope), True)) is taken


def test_a_longer_step_is_longer_by_a_hundredth_at_least() -> None:
    assert told(1.0, (-0.01, -0.95))[0] == [1.0, 1.01]


def test_the_third_point_must_be_lower_than_the_second() -> None:
    _, found = told(1.0, (-1.0, -0.95), (-0.5, 0.5))
    assert found is not None
    (_, second, third, fourth), found = told(1.0, (-1.0, -0.95), (-2.0, -0.95), (-1.5, 0.5))
    assert found is None
    assert second < fourth < third


def test_past_the_minimum_the_lower_end_is_kept() -> None:
    nowhere = [(math.nan, math.nan)] * MOST_EVALUATIONS
    asked, found = told(1.0, (-1.0, -0.95), (-2.0, 1.0), *nowhere)
    assert found == (Point(asked[1], -2.0, 1.0), False)


def test_a_point_that_is_lower_but_not_enough_is_the_far_end() -> None:
    (_, second, third, fourth), _ = told(1.0, (1.0, 1.0), (-1e-9, 5.0), (-2e-9, 5.0))
    assert 0 < fourth < third < second


def test_close_to_an_end_twice_running_is_moved_a_tenth_away() -> None:
    (_, second, third), _ = told(1.0, (10.0, 20.0), (5.0, 20.0))
    assert 0 < second < 0.1
    assert third == 0.1 * second


def test_a_first_step_that_meets_them_is_taken() -> None:
    assert searched(parabola, 2.5) == (Found(Point(2.5, 0.25, -1.0), True), [2.5])


def test_a_step_too_short_is_at_most_ten_times_as_long_next() -> None:
    _, asked = searched(parabola, 0.01)
    assert asked[1] == pytest.approx(0.1)


@given(
    st.floats(0.05, 20.0),
    st.sampled_from([(math.nan, 1.0), (math.inf, 1.0), (-math.inf, 1.0), (0.0, math.nan), (0.0, math.inf)]),
    st.floats(0.01, 1e3),
)
def test_beyond_a_wall_the_step_is_shortened(wall: float, beyond: tuple[float, float], t: float) -> None:
    def line(t: float) -> tuple[float, float]:
        return (-math.sqrt(t + 1), -0.5 / math.sqrt(t + 1)) if t < wall else beyond

    found, asked = searched(line, t)
    assert 0 < found.point.t < wall
    assert found.point.J < -1
    assert len(asked) <= MOST_EVALUATIONS


def test_without_any_lower_point_it_ends_at_the_start() -> None:
    found, asked = searched(lambda t: (0.0, -1.0) if t == 0 else (math.nan, 0.0), 1.0)
    assert found == (Point(0.0, 0.0, -1.0), False)
    assert len(asked) == MOST_EVALUATIONS
    np.testing.assert_allclose(asked, 0.5 ** np.arange(MOST_EVALUATIONS))


def test_a_bracket_that_moves_no_parameter_is_left() -> None:
    found, asked = searched(lambda t: (0.0, -1.0) if t == 0 else (1.0, 1.0), 1.0, reach=1e-8)
    assert found == (Point(0.0, 0.0, -1.0), False)
    assert len(asked) == 3


def test_a_line_that_falls_for_ever_is_left_at_its_lowest_point() -> None:
    found, asked = searched(lambda t: (-t, -1.0), 1.0)
    assert len(asked) == MOST_EVALUATIONS
    assert found == (Point(asked[-1], -asked[-1], -1.0), False)


@given(st.floats(-1.0, 0.4), st.floats(0.6, 2.0), st.booleans())
def test_the_minimum_of_a_cubic_is_found_from_either_end(first: float, last: float, swapped: bool) -> None:
    def point(t: float) -> Point:
        return Point(t, t**3 - 0.75 * t, 3 * t**2 - 0.75)

    ends = (point(last), point(first)) if swapped else (point(first), point(last))
    assert cubic_minimum(*ends, -2.0, 2.0) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Point(0.0, 0.0, -1.0), Point(1.0, -1.0, -1.0), 2.5),  # a straight line
        (Point(0.0, 0.0, -1.0), Point(1.0, -1.05, -1.2), 2.5),  # bent down: no minimum
        (Point(0.0, 1e308, -1.0), Point(1.0, -1e308, 1.0), 2.5),  # too steep for a number
        (Point(0.0, 0.0, -1.0), Point(1.0, -0.5, 0.0), 2.0),  # left of the bounds
        (Point(0.0, 0.0, -1.0), Point(1.0, -0.99, -0.98), 3.0),  # right of them
    ],
)
def test_the_minimum_stays_within_its_bounds(one: Point, other: Point, expected: float) -> None:
    assert cubic_minimum(one, other, 2.0, 3.0) == expected
