import math

import pytest

from app.engine.schedules import (
    Constant,
    Cosine,
    Exponential,
    Plateau,
    PlateauState,
    Schedule,
    Step,
    observe,
    rate,
)

HALF_ROOT = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [0.4] * 5),
        (Constant(warmup_epochs=4), [0.1, 0.2, 0.3, 0.4, 0.4]),
        (Constant(warmup_epochs=10), [0.04, 0.08, 0.12, 0.16, 0.2]),
        (Step(2), [0.4, 0.4, 0.04, 0.04, 0.004]),
        (Step(1, factor=0.5), [0.4, 0.2, 0.1, 0.05, 0.025]),
        (Step(2, factor=0.5, warmup_epochs=2), [0.2, 0.4, 0.4, 0.4, 0.2]),
        (Exponential(0.5), [0.4, 0.2, 0.1, 0.05, 0.025]),
        (Exponential(0.5, warmup_epochs=2), [0.2, 0.4, 0.4, 0.2, 0.1]),
        (Cosine(), [0.4, 0.2 * (1 + HALF_ROOT), 0.2, 0.2 * (1 - HALF_ROOT), 0.0]),
        (Cosine(0.1), [0.4, 0.25 + 0.15 * HALF_ROOT, 0.25, 0.25 - 0.15 * HALF_ROOT, 0.1]),
        (Cosine(0.1, warmup_epochs=2), [0.2, 0.4, 0.4, 0.25, 0.1]),
        (Cosine(0.1, warmup_epochs=4), [0.1, 0.2, 0.3, 0.4, 0.4]),
        (Cosine(0.1, warmup_epochs=5), [0.08, 0.16, 0.24, 0.32, 0.4]),
    ],
    ids=repr,
)
def test_the_rate_of_five_epochs(schedule: Schedule, expected: list[float]) -> None:
    rates = [rate(schedule, 0.4, epoch, 5) for epoch in range(1, 6)]
    assert rates == pytest.approx(expected, rel=1e-14, abs=1e-17)


@pytest.mark.parametrize("base", [0.1, 0.3, 1e-3])
@pytest.mark.parametrize("epochs", [2, 3, 7, 50, 1000])
def test_a_cosine_ends_at_its_final_rate_and_a_warm_up_at_the_base_to_the_bit(
    base: float, epochs: int
) -> None:
    assert rate(Cosine(0.07), base, epochs, epochs) == 0.07
    assert rate(Constant(epochs), base, epochs, epochs) == base


def test_a_plateau_s_rate_follows_its_reductions_and_those_of_others_are_not_looked_at() -> None:
    plateau = Plateau(factor=0.5, warmup_epochs=2)
    assert [rate(plateau, 0.4, 3, 9, reductions) for reductions in (0, 1, 3)] == [0.4, 0.2, 0.05]
    assert rate(plateau, 0.4, 1, 9, 3) == 0.2
    assert rate(Constant(), 0.4, 3, 9, 3) == 0.4


@pytest.mark.parametrize(
    ("plateau", "values", "waits", "reductions"),
    [
        (Plateau(patience=2), [3.0, 3.0, 2.9, 2.9, 2.9], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]),
        (Plateau(patience=2), [3.0, 4.0, 4.0, 3.5, 3.0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 2]),
        (Plateau(patience=1), [3.0, 3.0, 3.0, 2.0, 2.0], [0, 0, 0, 0, 0], [0, 1, 2, 2, 3]),
        (Plateau(patience=0), [3.0, 3.0, 3.0, 2.0, 2.0], [0, 0, 0, 0, 0], [0, 1, 2, 2, 3]),
        (Plateau(patience=2, warmup_epochs=2), [1.0, 1.0, 3.0, 3.0, 2.0], [0, 0, 0, 1, 0], [0] * 5),
        (Plateau(patience=2), [math.nan, math.inf, 3.0, math.nan, 3.0], [1, 0, 0, 1, 0], [0, 1, 1, 1, 2]),
    ],
)
def test_a_plateau_counts_the_epochs_without_a_fall(
    plateau: Plateau, values: list[float], waits: list[int], reductions: list[int]
) -> None:
    state, seen = PlateauState(), []
    for epoch, value in enumerate(values, 1):
        state = observe(plateau, state, epoch, value)
        seen.append(state)
    assert [state.wait for state in seen] == waits
    assert [state.reductions for state in seen] == reductions


def test_a_plateau_keeps_the_best_value_over_its_reductions() -> None:
    state = observe(Plateau(patience=1), PlateauState(), 1, 2.0)
    state = observe(Plateau(patience=1), state, 2, 2.5)
    assert state == PlateauState(best=2.0, wait=0, reductions=1)
    assert observe(Plateau(patience=1), state, 3, 2.2) == PlateauState(best=2.0, wait=0, reductions=2)
