"""Plans at random, absurd ones among them: they end, or diverge and say so; nothing else happens."""

import math
import secrets

import numpy as np
import pytest

from app import engine
from tests.support.plans import Draw, cut_small, drawn
from tests.support.reports import facts, stored

CHUNK = 20


def followed(
    snapshot: engine.Snapshot, data: engine.Data, plan: engine.Plan, draw: Draw
) -> tuple[list[str], tuple[int, engine.Snapshot]]:
    """The facts of each report to the end, and one of the snapshots with the number of facts before it.

    They are written out, every digit: a metric may be NaN, where a square of its sums overflows.
    """
    seen: list[str] = []
    kept = 0, snapshot
    epochs = snapshot.epoch
    try:
        for report in engine.train(snapshot, data, plan):
            # An iteration of L-BFGS that was left begins anew, so how often it reports is no fact.
            if not (isinstance(report, engine.Progress) and isinstance(plan.optimizer, engine.LBFGS)):
                seen.append(repr(facts(report)))
            if isinstance(report, engine.Finished):
                assert report.stop_reason != "time_budget"
                assert epochs == plan.epochs or report.stop_reason != "epochs_completed"
                check_finite(report.cost, report.data_cost, report.validation_cost or 0.0)
                assert report.parameters.is_finite()
                return seen, kept
            if isinstance(report, engine.Epoch):
                epochs += 1
                assert not report.diverged
                check_finite(report.gradient_norm, report.validation_cost or 0.0)
            check_finite(report.cost, report.data_cost)
            assert report.epoch == epochs + isinstance(report, engine.Progress)
            if draw.random() < 1 / (len(seen) + 1):
                kept = len(seen), stored(report.snapshot(), plan)
    except engine.Diverged as diverged:
        row = diverged.row
    assert row.epoch == epochs + 1 <= plan.epochs
    assert row.diverged
    return [*seen, repr(facts(row))], kept


def check_finite(*numbers: float | None) -> None:
    assert all(number is not None and math.isfinite(number) for number in numbers), numbers


def fuzz(seed: int) -> None:
    """One plan, and the same again from a snapshot."""
    draw = np.random.default_rng(seed)
    with cut_small(draw):
        plan, data = drawn(draw)
        straight, (done, snapshot) = followed(engine.Snapshot.start(plan), data, plan, draw)
        again, _ = followed(snapshot, data, plan, draw)
        assert again == straight[done:]


def check(first: int) -> None:
    for seed in range(first, first + CHUNK):
        try:
            fuzz(seed)
        except BaseException as error:
            error.add_note(f"the plan of seed {seed}")
            raise


@pytest.mark.parametrize("first", range(0, 120, CHUNK))
def test_absurd_plans_end_or_diverge_and_go_on_from_a_snapshot(first: int) -> None:
    check(first)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(25))
def test_other_plans_each_time(chunk: int) -> None:
    check(secrets.randbelow(2**48))
