"""Epochs gone through at once have the rows of the same epochs one by one."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine import descent
from tests.support.networks import ARCHITECTURE, M, data_of, plan_of, run

WEIGHTS = np.random.default_rng(1).choice([0.0, 0.5, 2.0], M)


def both_ways(
    plan: engine.Plan, data: engine.Data, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[engine.Epoch], list[engine.Epoch]]:
    """The rows in bursts, and one by one; the parameters are the same to the bit, after each epoch."""
    several, finished = run(plan, data)
    shas = snapshots(plan, data)
    monkeypatch.setattr(descent, "BURST_EPOCHS", 1)
    one_by_one, expected = run(plan, data)
    assert finished.parameters.sha256() == expected.parameters.sha256()
    assert shas == snapshots(plan, data)
    return several, one_by_one


def snapshots(plan: engine.Plan, data: engine.Data) -> list[object]:
    found: list[object] = []
    for report in engine.train(engine.Snapshot.start(plan), data, plan):
        if isinstance(report, engine.Epoch):
            arrays, scalars = report.snapshot().to_parts()
            content = {name: array.tobytes() for name, array in arrays.items()}
            found.append((content, {**scalars, "elapsed": 0.0, "seconds": 0.0}))
    return found


def numbers(row: engine.Epoch) -> dict[str, Any]:
    given = row._asdict() | row.metrics
    names = {*given} - {"metrics", "seconds", "snapshot", "validation_cost"}
    return {name: given[name] for name in names}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": engine.Momentum()},
        {"optimizer": engine.Adam(), "metric": "r2"},
        {"optimizer": engine.AdamW(), "dtype": "float32"},
        {"clip_norm": 0.05, "metric": "accuracy"},
        {"leaves": 4},
    ],
    ids=repr,
)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_rows_and_the_parameters_are_those_of_single_epochs(
    changes: dict[str, Any], weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent, "BURST_EPOCHS", 4)
    several, one_by_one = both_ways(plan_of(epochs=10, **changes), data_of(weights=weights), monkeypatch)
    assert len(several) == 10
    for left, right in zip(several, one_by_one, strict=True):
        assert numbers(left) == pytest.approx(numbers(right), rel=1e-13)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_whose_square_overflows_has_its_length(
    clip_norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RMSprop goes on from it: its v is infinite, and its step 0. No snapshot warns of that."""
    plan = plan_of(optimizer=engine.RMSprop(0.01), dtype="float32", epochs=5, clip_norm=clip_norm)
    several, one_by_one = both_ways(plan, data_of(1e25), monkeypatch)
    wide, _ = run(dataclasses.replace(plan, dtype="float64"), data_of(1e25))
    assert several[0].gradient_norm == pytest.approx(wide[0].gradient_norm, rel=1e-5)
    for left, right in zip(several, one_by_one, strict=True):
        assert numbers(left) == pytest.approx(numbers(right), rel=1e-6)


def test_divergence_is_in_the_epoch_that_it_is_in_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(optimizer=engine.GradientDescent(1e3), epochs=100, dtype="float32")

    def diverged() -> int:
        with pytest.raises(engine.Diverged) as caught:
            run(plan, data_of())
        return caught.value.epoch

    several = diverged()
    monkeypatch.setattr(descent, "BURST_EPOCHS", 1)
    assert 1 < several == diverged()


@pytest.mark.parametrize("threads", [2, 4])
def test_a_plan_with_leaves_has_no_bursts_to_wait_in(threads: int) -> None:
    plan = plan_of(leaves=4, epochs=40, architecture=ARCHITECTURE)
    (_, alone), (_, several) = run(plan, data_of()), run(plan, data_of(), threads=threads)
    assert alone.parameters.sha256() == several.parameters.sha256()
