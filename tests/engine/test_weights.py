"""Weights of examples: v_k stands for v_k copies of a row, and 0 for none."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app import engine
from app.engine import leaves
from tests.support.networks import M, costs, data_of, plan_of, run

COPIES = np.random.default_rng(2).integers(0, 4, M)

every_way = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": engine.Adam()},
        {"optimizer": engine.LBFGS(), "epochs": 5},
        {"clip_norm": 0.1},
        {"leaves": 2},
        {"early_stopping": engine.EarlyStopping("cost")},
    ],
    ids=repr,
)


def repeated(data: engine.Data, copies: NDArray[np.int64]) -> engine.Data:
    return engine.Data(np.repeat(data.x, copies, axis=0), np.repeat(data.y, copies, axis=0))


@every_way
@pytest.mark.parametrize("piece_rows", [7, 4096])
def test_a_weighted_row_is_that_row_repeated(
    changes: dict[str, Any], piece_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "PIECE_ROWS", piece_rows)
    monkeypatch.setattr(leaves, "BLOCK_ROWS", 5)
    plan, data = plan_of(batch_size=10**6, **changes), data_of()
    weighted, finished = run(plan, dataclasses.replace(data, weights=COPIES.astype(float)))
    expected, end = run(plan, repeated(data, COPIES))
    assert len(weighted) == len(expected) >= 3
    for name in ("cost", "data_cost", "gradient_norm", "learning_rate"):
        got = [getattr(row, name) for row in weighted]
        assert got == pytest.approx([getattr(row, name) for row in expected], rel=1e-12)
    assert finished.cost == pytest.approx(end.cost, rel=1e-12)
    np.testing.assert_allclose(finished.parameters.flat, end.parameters.flat, rtol=0, atol=1e-12)


@every_way
def test_a_weight_in_the_validation_is_that_row_repeated(changes: dict[str, Any]) -> None:
    data = data_of()
    copies = repeated(data, COPIES)
    weights = COPIES.astype(float)
    weighted = dataclasses.replace(data, validation_x=data.x, validation_y=data.y, validation_weights=weights)
    expected = dataclasses.replace(data, validation_x=copies.x, validation_y=copies.y)
    plan = plan_of(**changes)
    for row, right in zip(run(plan, weighted)[0], run(plan, expected)[0], strict=True):
        assert row.validation_cost == pytest.approx(right.validation_cost, rel=1e-12)


@pytest.mark.parametrize("optimizer", [engine.GradientDescent(0.1), engine.Adam(), engine.RMSprop()])
@pytest.mark.parametrize("piece_rows", [7, 4096])
def test_a_minibatch_without_weight_moves_by_its_decay_alone(
    optimizer: engine.Optimizer, piece_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four minibatches the second has no weight: no 0/0, and the row does not know it."""
    monkeypatch.setattr(leaves, "PIECE_ROWS", piece_rows)
    monkeypatch.setattr(leaves, "BLOCK_ROWS", 5)
    plan = plan_of(optimizer=optimizer, batch_size=10, shuffle=False, metric="r2")
    weights = np.ones(M)
    weights[10:20] = 0
    rows, finished = run(plan, data_of(weights=weights))
    assert len(rows) == 3
    for row in rows:
        assert row.cost is not None
        assert math.isfinite(row.cost + row.metrics["r2"])
    data = data_of()
    data.x[10:20], data.y[10:20] = 7.0, -7.0  # whatever they are
    assert run(plan, dataclasses.replace(data, weights=weights))[1].parameters.sha256() == (
        finished.parameters.sha256()
    )
    three = engine.Data(np.delete(data.x, np.s_[10:20], 0), np.delete(data.y, np.s_[10:20], 0))
    if isinstance(optimizer, engine.GradientDescent):  # others remember, and go on without a gradient
        without = dataclasses.replace(plan, lambda_=0.0, metric=None)
        weighed, _ = run(without, data_of(weights=weights))
        assert costs(weighed) == pytest.approx(costs(run(without, three)[0]), rel=1e-12)


def test_without_any_weight_the_cost_is_0_and_the_decay_goes_on() -> None:
    rows, finished = run(plan_of(epochs=2), data_of(weights=np.zeros(M)))
    start = engine.Snapshot.start(plan_of()).parameters
    assert [row.data_cost for row in rows] == [0.0, 0.0]
    assert finished.data_cost == 0.0
    np.testing.assert_allclose(finished.parameters.weights, start.weights * (1 - 0.1 * 0.01) ** 2)
    assert not any(b.any() for b in finished.parameters.b.values())


def test_metrics_do_not_know_weights() -> None:
    weighted, _ = run(plan_of(metric="r2"), data_of(weights=COPIES.astype(float)))
    alone, _ = run(plan_of(metric="r2"), data_of())
    assert weighted[0].metrics["r2"] == pytest.approx(alone[0].metrics["r2"], rel=1e-12)
