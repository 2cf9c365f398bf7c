"""The training loop against a slow loop in the paper's words, and what it promises at its edges."""

import dataclasses
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine import leaves, minibatches
from app.engine.memory import Array
from app.engine.streams import Purpose

OPTIMIZERS: list[engine.Optimizer] = [
    engine.GradientDescent(0.3),
    engine.Momentum(0.05, 0.8),
    engine.Adam(0.02),
]


def plan_of(**changes: Any) -> engine.Plan:
    layers = (engine.Layer(6, "tanh"), engine.Layer(4, "sigmoid"), engine.Layer(3, "softmax"))
    plan = engine.Plan(
        engine.Architecture(5, layers),
        "cross_entropy",
        engine.GradientDescent(0.3),
        batch_size=8,
        epochs=3,
        lambda_=0.01,
        dtype="float64",
        metric="accuracy",
    )
    return dataclasses.replace(plan, **changes)


def data_of(m: int = 45, seed: int = 0) -> engine.Data:
    draw = np.random.default_rng(seed)
    x, validation_x = draw.standard_normal((m, 5)), draw.standard_normal((17, 5))
    y, validation_y = np.eye(3)[draw.integers(0, 3, m)], np.eye(3)[draw.integers(0, 3, 17)]
    return engine.Data(x, y, validation_x, validation_y)


def run(plan: engine.Plan, data: engine.Data) -> tuple[list[engine.Epoch], engine.Finished]:
    *rows, finished = engine.train(engine.Snapshot.start(plan), data, plan)
    assert isinstance(finished, engine.Finished)
    return [row for row in rows if isinstance(row, engine.Epoch)], finished


def accuracy(a: Array, y: Array) -> float:
    return float((a.argmax(axis=0) == y.argmax(axis=0)).mean())


def slow(plan: engine.Plan, data: engine.Data) -> tuple[list[dict[str, float]], engine.Parameters]:
    """Nothing shared, nothing reused: forward, backward and (9)-(10) for each minibatch, then the update."""
    architecture, lambda_ = plan.architecture, plan.lambda_
    cost = engine.COSTS[plan.cost][architecture.layers[-1].activation]
    theta = engine.initialise(architecture, plan.seed, plan.dtype)
    x, y, m = data.x.T, data.y.T, len(data.x)
    v, first, second, t = *np.zeros((3, *theta.flat.shape)), 0
    rows = []
    for epoch in range(1, plan.epochs + 1):
        full = plan.batch_size >= m
        order = (
            np.arange(m)
            if full or not plan.shuffle
            else engine.stream(plan.seed, Purpose.SHUFFLE, epoch).permutation(m)
        )
        J, data_J, right, norm = 0.0, 0.0, 0.0, 0.0
        for start in range(0, m, plan.batch_size):
            batch = order[start : start + plan.batch_size]
            z, a = engine.forward(architecture, theta, x[:, batch])
            J += len(batch) * engine.overall_cost(cost, theta, a[architecture.n], y[:, batch], lambda_)
            data_J += cost.total(a[architecture.n], y[:, batch])
            right += len(batch) * accuracy(a[architecture.n], y[:, batch])
            delta = engine.backward(architecture, theta, cost, z, a, y[:, batch])
            g = engine.gradient(architecture, theta, a, delta, lambda_).flat
            norm = float(np.linalg.norm(g))
            t += 1
            match plan.optimizer:
                case engine.GradientDescent(alpha):
                    theta.flat -= alpha * g
                case engine.Momentum(alpha, mu):
                    v = mu * v - alpha * g
                    theta.flat += v
                case engine.Adam(alpha, beta1, beta2, epsilon):
                    first = beta1 * first + (1 - beta1) * g
                    second = beta2 * second + (1 - beta2) * g**2
                    hat = first / (1 - beta1**t), second / (1 - beta2**t)
                    theta.flat -= alpha * hat[0] / (np.sqrt(hat[1]) + epsilon)
        assert data.validation_x is not None
        assert data.validation_y is not None
        _, a = engine.forward(architecture, theta, data.validation_x.T)
        validation = a[architecture.n], data.validation_y.T
        rows.append(
            {
                "cost": J / m,
                "data_cost": data_J / m,
                "accuracy": right / m,
                "gradient_norm": norm,
                "validation_cost": float(cost.examples(*validation).mean()),
                "validation_accuracy": accuracy(*validation),
            }
        )
    return rows, theta


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 8, 44, 45, 1000])
@pytest.mark.parametrize("shuffle", [True, False])
def test_training_is_the_slow_loop(optimizer: engine.Optimizer, batch_size: int, shuffle: bool) -> None:
    plan = plan_of(optimizer=optimizer, batch_size=batch_size, shuffle=shuffle)
    rows, finished = run(plan, data_of())
    expected, parameters = slow(plan, data_of())
    assert [row.epoch for row in rows] == [1, 2, 3]
    for row, numbers in zip(rows, expected, strict=True):
        got = row._asdict() | row.metrics
        assert {name: got[name] for name in numbers} == pytest.approx(numbers, rel=1e-9)
    np.testing.assert_allclose(finished.parameters.flat, parameters.flat, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("batch_size", [20, 45])
def test_minibatches_too_large_for_the_cache_are_split_and_mean_the_same(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(batch_size=batch_size)
    whole, _ = run(plan, data_of())
    monkeypatch.setattr(leaves, "PIECE_ROWS", 16)
    monkeypatch.setattr(leaves, "BLOCK_ROWS", 7)
    split, _ = run(plan, data_of())
    for left, right in zip(split, whole, strict=True):
        for name in ("cost", "data_cost", "gradient_norm", "validation_cost"):
            assert getattr(left, name) == pytest.approx(getattr(right, name), rel=1e-12)


@pytest.mark.parametrize("piece_rows", [1, 8, 100])
@pytest.mark.parametrize(("m", "batch_size"), [(45, 8), (45, 45), (45, 44), (1, 3), (40, 8), (100, 30)])
def test_an_epoch_s_pieces_hold_every_example_once(
    m: int, batch_size: int, piece_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "PIECE_ROWS", piece_rows)
    monkeypatch.setattr(leaves, "BLOCK_ROWS", 7)
    cut = minibatches.pieces(plan_of().architecture, m, batch_size)
    assert cut[0].first == cut[0].before == 0
    for piece, later in pairwise(cut):
        assert (later.first, later.before) == (piece.end, piece.after)
        assert not piece.last
    assert cut[-1].last
    assert cut[-1].end == m
    assert cut[-1].after == math.ceil(m / batch_size)
    assert all(piece.rows == min(batch_size, m) for piece in cut[:-1])
    assert all(piece.steps == 1 or piece.rows * piece.steps <= piece_rows for piece in cut)


def test_full_batch_cost_is_j_at_the_start_of_the_epoch_and_falls() -> None:
    plan = plan_of(batch_size=45, epochs=20)
    rows, finished = run(plan, data_of())
    costs = [row.cost for row in rows if row.cost is not None]
    assert costs == sorted(costs, reverse=True)
    more, _ = run(dataclasses.replace(plan, epochs=21), data_of())
    assert finished.cost == pytest.approx(more[-1].cost, rel=1e-12)
    assert finished.data_cost == pytest.approx(more[-1].data_cost, rel=1e-12)
    assert finished.validation_cost == rows[-1].validation_cost
    assert (finished.stop_reason, finished.best_epoch) == ("epochs_completed", None)


def test_float32_follows_float64() -> None:
    wide, _ = run(plan_of(), data_of())
    narrow, finished = run(plan_of(dtype="float32"), data_of())
    assert finished.parameters.flat.dtype == np.float32
    for left, right in zip(narrow, wide, strict=True):
        assert left.cost == pytest.approx(right.cost, rel=1e-5)


def test_the_seed_decides_every_bit_whatever_ran_before() -> None:
    first, end = run(plan_of(seed=4), data_of())
    run(plan_of(seed=5), data_of(seed=1))
    again, end_again = run(plan_of(seed=4), data_of())
    assert [row.cost for row in again] == [row.cost for row in first]
    assert end_again.parameters.sha256() == end.parameters.sha256()
    _, other = run(plan_of(seed=5), data_of())
    assert other.parameters.sha256() != end.parameters.sha256()


def test_r2_is_the_mean_over_the_outputs() -> None:
    architecture = engine.Architecture(5, (engine.Layer(4, "tanh"), engine.Layer(2, "identity")))
    draw = np.random.default_rng(3)
    x, y = draw.standard_normal((30, 5)), draw.standard_normal((30, 2)) * [1.0, 5.0]
    plan = plan_of(architecture=architecture, cost="squared_error", metric="r2", batch_size=30, epochs=1)
    rows, finished = run(plan, engine.Data(x, y, x, y))
    start = engine.predict(architecture, engine.initialise(architecture, 0, "float64"), x)
    end = engine.predict(architecture, finished.parameters, x)
    for name, a in (("r2", start), ("validation_r2", end)):
        expected = np.mean(1 - ((a - y) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0))
        assert rows[0].metrics[name] == pytest.approx(expected)


def test_without_metric_or_validation_there_is_no_number_for_them() -> None:
    rows, finished = run(plan_of(metric=None), engine.Data(data_of().x, data_of().y))
    assert rows[0].metrics == {}
    assert rows[0].validation_cost is None
    assert finished.validation_cost is None


def diverging(**changes: Any) -> tuple[engine.Plan, engine.Data]:
    architecture = engine.Architecture(5, (engine.Layer(6, "relu"), engine.Layer(2, "identity")))
    plan = plan_of(architecture=architecture, cost="squared_error", metric="r2", dtype="float32", **changes)
    draw = np.random.default_rng(3)
    return plan, engine.Data(draw.standard_normal((45, 5)), draw.standard_normal((45, 2)))


def test_divergence_is_typed_and_the_last_finite_snapshot_stays() -> None:
    plan, data = diverging(optimizer=engine.GradientDescent(30.0), batch_size=45, epochs=100)
    kept: list[tuple[engine.Epoch, engine.Snapshot]] = []

    def keep() -> None:
        for row in engine.train(engine.Snapshot.start(plan), data, plan):
            assert isinstance(row, engine.Epoch)
            kept.append((row, row.snapshot()))

    with pytest.raises(engine.Diverged) as caught:
        keep()
    rows, last = [row for row, _ in kept], kept[-1][1]
    assert last.parameters.is_finite()
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.cost is not None and math.isfinite(row.cost) for row in rows)
    assert caught.value.epoch == caught.value.row.epoch == len(rows) + 1 == last.epoch + 1
    assert caught.value.row.cost is None
    assert caught.value.row.diverged


def test_a_run_whose_last_update_diverges_does_not_finish() -> None:
    plan, data = diverging(optimizer=engine.GradientDescent(1e25), batch_size=45, epochs=1)
    with pytest.raises(engine.Diverged) as caught:
        list(engine.train(engine.Snapshot.start(plan), data, plan))
    assert caught.value.epoch == 1


def test_the_caller_s_error_state_is_left_alone() -> None:
    plan, data = plan_of(), data_of()
    before = np.geterr()
    for _ in engine.train(engine.Snapshot.start(plan), data, plan):
        assert np.geterr() == before


def test_early_stopping_on_validation_cost_needs_validation_examples() -> None:
    plan = plan_of(early_stopping=engine.EarlyStopping())
    with pytest.raises(ValueError, match="validation"):
        next(engine.train(engine.Snapshot.start(plan), engine.Data(data_of().x, data_of().y), plan))
