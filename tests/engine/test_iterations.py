"""L-BFGS through training: an epoch is an iteration, whole or not at all."""

from itertools import pairwise

import numpy as np
import pytest

from app import engine
from tests.support.networks import costs, data_of, plan_of, run
from tests.support.reports import facts, stored

PLAN = plan_of(optimizer=engine.LBFGS(tolerance=1e-4), epochs=500, progress_seconds=0.0)


def test_the_cost_falls_at_every_epoch_until_the_tolerance_is_met() -> None:
    rows, finished = run(PLAN, data_of())
    falling = [*costs(rows), finished.cost]
    assert all(later < earlier for earlier, later in pairwise(falling))
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    assert 10 < len(rows) < PLAN.epochs
    assert finished.stop_reason == "converged"
    gradient = engine.Snapshot.start(PLAN, finished.parameters)
    (only,), again = run(plan_of(optimizer=engine.LBFGS(tolerance=1e-4), epochs=9), data_of(), gradient)
    assert (only.learning_rate, again.stop_reason, again.cost) == (0.0, "converged", finished.cost)
    assert again.parameters.sha256() == finished.parameters.sha256()


def test_a_run_that_has_converged_goes_on_to_its_end_alone() -> None:
    for report in engine.train(engine.Snapshot.start(PLAN), data_of(), PLAN):
        if isinstance(report, engine.Epoch):
            snapshot = stored(report.snapshot(), PLAN)
    _, finished = run(PLAN, data_of())
    assert snapshot.converged

    rows, again = run(PLAN, data_of(), snapshot)
    assert rows == []
    assert facts(again) == facts(finished)


def test_inside_of_an_epoch_a_snapshot_is_of_its_start() -> None:
    plan = plan_of(optimizer=engine.LBFGS(), epochs=6, progress_seconds=0.0)
    straight = [facts(row) for row in run(plan, data_of())[0]]
    inside, before = 0, engine.Snapshot.start(plan)
    for report in engine.train(before, data_of(), plan):
        if isinstance(report, engine.Finished):
            break
        snapshot = stored(report.snapshot(), plan)
        if isinstance(report, engine.Progress):
            inside += 1
            assert (snapshot.epoch, snapshot.step) == (before.epoch, 0)
            assert snapshot.parameters.sha256() == before.parameters.sha256()
            rows, _ = run(plan, data_of(), snapshot)
            assert [facts(row) for row in rows] == straight[snapshot.epoch :]
        before = snapshot
    assert inside > 3


def test_out_of_time_inside_of_an_epoch_the_parameters_are_those_of_its_start() -> None:
    rows, _ = run(PLAN, data_of())
    for report in engine.train(engine.Snapshot.start(PLAN), data_of(), PLAN):
        if isinstance(report, engine.Epoch) and report.epoch == 4:
            snapshot = report.snapshot()
            break
    plan = plan_of(optimizer=engine.LBFGS(), epochs=500, time_budget=np.nextafter(snapshot.elapsed, 1))
    none, finished = run(plan, data_of(), snapshot)
    assert none == []
    assert finished.stop_reason == "time_budget"
    assert finished.parameters.sha256() == snapshot.parameters.sha256()
    assert finished.cost == pytest.approx(rows[4].cost, rel=1e-13)
