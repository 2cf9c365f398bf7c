"""Dropout: masks by name, on while training and off when anything is evaluated."""

import dataclasses

import numpy as np
import pytest

from app import engine
from app.engine import leaves
from app.engine.dropout import Masks
from tests.support.networks import data_of, plan_of, run

DROPPING = engine.Architecture(
    3,
    (
        engine.Layer(30, "tanh", dropout=0.5),
        engine.Layer(20, "relu", dropout=0.2),
        engine.Layer(2, "identity"),
    ),
)


def test_a_mask_is_0_with_probability_p_and_keeps_the_mean() -> None:
    masks = Masks(3, {2: 0.3}, np.array([1, 0]))
    mask = np.empty((200, 500), np.float32)
    masks.draw(mask, 2, 0)
    assert set(np.unique(mask)) == {0.0, np.float32(1 / 0.7)}
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert mask.mean() == pytest.approx(1.0, abs=0.01)


def test_masks_differ_by_seed_epoch_step_leaf_and_layer_alone() -> None:
    def drawn(seed: int, epoch: int, before: int, l: int, leaf: int, step: int) -> bytes:
        mask = np.empty((8, 8))
        Masks(seed, {2: 0.5, 3: 0.5}, np.array([epoch, before])).draw(mask, l, leaf, step)
        return mask.tobytes()

    names = [(3, 1, 0, 2, 0, 0), (4, 1, 0, 2, 0, 0), (3, 2, 0, 2, 0, 0), (3, 1, 1, 2, 0, 0)]
    names += [(3, 1, 0, 3, 0, 0), (3, 1, 0, 2, 1, 0)]
    assert len({drawn(*name) for name in names}) == len(names)
    assert drawn(3, 1, 4, 2, 0, 1) == drawn(3, 1, 0, 2, 0, 5)  # steps are counted from the epoch's start


@pytest.mark.parametrize("piece_rows", [7, 4096])
@pytest.mark.parametrize("count", [1, 2])
def test_what_is_evaluated_is_evaluated_without(
    piece_rows: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "PIECE_ROWS", piece_rows)
    monkeypatch.setattr(leaves, "BLOCK_ROWS", 5)
    plan = plan_of(architecture=DROPPING, metric="r2", leaves=count, lambda_=0.0)
    data = data_of()
    data = dataclasses.replace(data, validation_x=data.x, validation_y=data.y)

    def evaluated(parameters: engine.Parameters) -> float:
        a = engine.predict(DROPPING, parameters, data.x)
        return float(0.5 * ((a - data.y) ** 2).sum(axis=1).mean())

    for report in engine.train(engine.Snapshot.start(plan), data, plan):
        if isinstance(report, engine.Epoch):
            J = evaluated(report.snapshot().parameters)
            assert report.validation_cost == pytest.approx(J, rel=1e-12)
    assert isinstance(report, engine.Finished)
    J = evaluated(report.parameters)
    assert (report.cost, report.validation_cost) == pytest.approx((J, J), rel=1e-12)


def test_what_is_trained_on_is_thinned_out() -> None:
    """The cost that a row tells is that of the thinned network, other at each epoch."""
    rate = engine.GradientDescent(1e-300)  # W, b stay as they are
    plan = plan_of(architecture=DROPPING, optimizer=rate, lambda_=0.0, epochs=300)
    rows, finished = run(plan, data_of())
    costs = np.array([row.cost for row in rows], float)
    assert len(set(costs.tolist())) == 300
    assert costs.mean() > finished.cost  # by the variance that the masks add
