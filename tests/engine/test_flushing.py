"""What an optimizer remembers of units that no example moves any more does not decay into slow numbers."""

from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine.network import initialise
from app.engine.optimizers import OptimizerState
from tests.support.reports import facts, stored

ARCHITECTURE = engine.Architecture(3, (engine.Layer(8, "relu"), engine.Layer(1, "identity")))
OPTIMIZERS = [
    engine.Momentum(0.01, momentum=0.6),
    engine.Nesterov(0.01, momentum=0.6),
    engine.RMSprop(rho=0.6),
    engine.Adam(beta1=0.6, beta2=0.7),
    engine.AdamW(beta1=0.6, beta2=0.7),
]
EPOCHS = 120
DATA = engine.Data(np.random.default_rng(0).standard_normal((40, 3)), np.ones((40, 1)))


def plan_of(optimizer: Any, batch_size: int) -> engine.Plan:
    return engine.Plan(
        architecture=ARCHITECTURE,
        cost="squared_error",
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=EPOCHS,
        dtype="float32",
        progress_seconds=0.0,
    )


def beginning(plan: engine.Plan) -> engine.Snapshot:
    """Three of the units are dead, and the optimizer remembers when they were not."""
    parameters = initialise(plan.architecture, 0, plan.dtype)
    parameters.b[1][:3] = -100.0
    start = engine.Snapshot.start(plan, parameters)
    assert isinstance(start.optimizer_state, OptimizerState)
    for array in start.optimizer_state.arrays.values():
        array.flat[...] = 1e-30
    return start


def ending(plan: engine.Plan) -> tuple[engine.Finished, int]:
    """And how many of the remembered numbers are below the normal ones."""
    *_, finished = engine.train(beginning(plan), DATA, plan)
    assert isinstance(finished, engine.Finished)
    state = finished.snapshot().optimizer_state
    assert isinstance(state, OptimizerState)
    assert state.t >= EPOCHS
    values = np.concatenate([array.flat for array in state.arrays.values()])
    return finished, int(((values != 0) & (np.abs(values) < np.finfo(np.float32).smallest_normal)).sum())


@pytest.mark.parametrize("batch_size", [8, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: type(each).__name__)
def test_nothing_below_the_normal_numbers_stays_and_no_parameter_knows(
    optimizer: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(optimizer, batch_size)
    flushed, slow = ending(plan)
    assert slow == 0
    monkeypatch.setattr(OptimizerState, "flush", lambda self: None)
    left, slow = ending(plan)
    assert slow >= 9  # at least the weights of the dead units
    assert flushed.parameters.sha256() == left.parameters.sha256()


@pytest.mark.parametrize("batch_size", [8, 40], ids=["minibatches", "bursts"])
def test_a_run_that_goes_on_flushes_where_it_would_have(batch_size: int) -> None:
    plan = plan_of(engine.Adam(beta1=0.6, beta2=0.7), batch_size)
    straight = [(facts(report), report.snapshot()) for report in engine.train(beginning(plan), DATA, plan)]
    whole = [(told, content(snapshot)) for told, snapshot in straight]
    for done in (1, 17, 31, 32, 33, 64, 100):
        again = engine.train(stored(straight[done - 1][1], plan), DATA, plan)
        assert [(facts(report), content(report.snapshot())) for report in again] == whole[done:]


def content(snapshot: engine.Snapshot) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in snapshot.to_parts()[0].items()}
