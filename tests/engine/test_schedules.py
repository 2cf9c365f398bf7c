import dataclasses
import math

import numpy as np
import pytest

from app import engine
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
from tests.support.networks import M, data_of, plan_of, run

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


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(warmup_epochs=3),
        Step(2, factor=0.5),
        Exponential(0.9, warmup_epochs=2),
        Cosine(0.01),
        Cosine(0.0, warmup_epochs=3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("batch_size", [7, M])
def test_a_row_has_the_rate_that_its_steps_had(schedule: Schedule, batch_size: int) -> None:
    plan = plan_of(schedule=schedule, epochs=9, batch_size=batch_size, lambda_=0.0)
    rows, _ = run(plan, data_of())
    assert [row.learning_rate for row in rows] == [rate(schedule, 0.1, epoch, 9) for epoch in range(1, 10)]
    if batch_size == M:  # one step an epoch: what it moved is as long as its rate times its gradient
        before = engine.Snapshot.start(plan).parameters.flat
        for report in engine.train(engine.Snapshot.start(plan), data_of(), plan):
            if isinstance(report, engine.Epoch):
                after = report.snapshot().parameters.flat
                moved, length = float(np.linalg.norm(after - before)), report.gradient_norm or 0.0
                assert moved == pytest.approx(report.learning_rate * length, rel=1e-6, abs=1e-15)
                before = after


@pytest.mark.parametrize("validated", [False, True])
def test_a_plateau_watches_the_validation_cost_if_there_is_one(validated: bool) -> None:
    plateau = Plateau(factor=0.5, patience=2, warmup_epochs=2)
    plan = plan_of(schedule=plateau, optimizer=engine.GradientDescent(0.8), epochs=40, batch_size=7)
    data = data_of()
    if validated:
        other = np.random.default_rng(9).standard_normal((10, 2))
        data = dataclasses.replace(data, validation_x=data.x[:10], validation_y=other)
    rows, _ = run(plan, data)
    state, reduced = PlateauState(), 0
    for row in rows:
        assert row.learning_rate == rate(plateau, 0.8, row.epoch, 40, state.reductions)
        watched = row.validation_cost if validated else row.cost
        assert watched is not None
        state = observe(plateau, state, row.epoch, watched)
        reduced = state.reductions
    assert reduced >= 2
