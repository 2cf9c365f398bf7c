"""Several lanes give one lane's bits, also when a run is stopped anywhere and goes on with another number."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine import lanes
from tests.support.networks import data_of, plan_of
from tests.support.plans import Draw, cut_small, drawn
from tests.support.reports import facts, stored

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 12))]


def whole(plan: engine.Plan, data: engine.Data, threads: int) -> list[object]:
    """The facts of every report to the end, be it a row that diverged."""
    seen: list[object] = []
    try:
        seen.extend(map(facts, engine.train(engine.Snapshot.start(plan), data, plan, threads)))
    except engine.Diverged as diverged:
        seen.append(facts(diverged.row))
    return seen


def with_pauses(plan: engine.Plan, data: engine.Data, draw: Draw) -> list[object]:
    """The same, stopped at about every third report and gone on from what was stored of it."""
    seen: list[object] = []
    snapshot = engine.Snapshot.start(plan)
    try:
        while True:
            for report in engine.train(snapshot, data, plan, int(draw.integers(1, 4))):
                seen.append(facts(report))
                if isinstance(report, engine.Finished):
                    return seen
                # An iteration of L-BFGS begins anew, so that its inside would be seen twice.
                inside = isinstance(report, engine.Progress) and isinstance(plan.optimizer, engine.LBFGS)
                if not inside and draw.random() < 0.3:
                    snapshot = stored(report.snapshot(), plan)
                    break
    except engine.Diverged as diverged:
        return [*seen, facts(diverged.row)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": engine.GradientDescent(0.1)},
        {"optimizer": engine.Adam(0.01), "clip_norm": 1.0},
        {"optimizer": engine.AdamW(0.01)},
        {"optimizer": engine.LBFGS(memory=3)},
    ],
    ids=lambda changes: type(changes["optimizer"]).__name__,
)
def test_the_number_of_lanes_and_pauses_change_no_bit(changes: dict[str, Any], count: int, seed: int) -> None:
    draw = np.random.default_rng([seed, count])
    with cut_small(draw):
        plan, data = drawn(draw, sane=True, leaves=count, **changes)
        plan = dataclasses.replace(plan, epochs=min(plan.epochs, 3 if count > 1 else 9))
        alone = whole(plan, data, 1)
        assert whole(plan, data, 2) == alone
        assert whole(plan, data, 3) == alone
        assert with_pauses(plan, data, draw) == alone


def test_where_memory_cannot_be_shared_one_lane_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, data = plan_of(leaves=4, batch_size=7), data_of()
    several = whole(plan, data, 4)
    monkeypatch.setattr(lanes, "CAN_SHARE", False)
    monkeypatch.delattr("os.fork")
    assert whole(plan, data, 4) == several
