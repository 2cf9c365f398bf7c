import dataclasses

import numpy as np
import pytest

from app import engine
from app.engine.early_stopping import Best
from app.engine.plan import EarlyStopping

ARCHITECTURE = engine.Architecture(2, (engine.Layer(3, "tanh"), engine.Layer(1, "identity")))
PARAMETERS = engine.initialise(ARCHITECTURE, 0, "float64")


def stops_at(rule: EarlyStopping, values: list[float]) -> tuple[int | None, Best]:
    """The epoch after which the rule stops, with what it remembers then."""
    best = Best()
    for epoch, value in enumerate(values, 1):
        best.judge(rule, epoch, value, PARAMETERS)
        if best.stops(rule):
            return epoch, best
    return None, best


@pytest.mark.parametrize(
    ("rule", "values", "expected", "best_epoch"),
    [
        (EarlyStopping(patience=2), [3.0, 2.0, 2.5, 2.0, 1.0], 4, 2),
        (EarlyStopping(patience=2), [3.0, 2.0, 2.5, 1.9, 2.0], None, 4),
        (EarlyStopping(patience=0), [3.0, 2.0, 2.0], 3, 2),
        (EarlyStopping(patience=1, min_delta=0.5), [3.0, 2.6], 2, 1),
        (EarlyStopping(patience=1, min_delta=0.5), [3.0, 2.4], None, 2),
        (EarlyStopping(patience=1, start_from_epoch=2), [1.0, 2.0, 3.0, 4.0], 4, 3),
    ],
)
def test_the_rule(rule: EarlyStopping, values: list[float], expected: int | None, best_epoch: int) -> None:
    epoch, best = stops_at(rule, values)
    assert (epoch, best.epoch) == (expected, best_epoch)


def overfitting() -> tuple[engine.Plan, engine.Data]:
    draw = np.random.default_rng(1)
    x, validation_x = draw.standard_normal((12, 2)), draw.standard_normal((40, 2))
    y = x[:, :1] + draw.standard_normal((12, 1))
    validation_y = validation_x[:, :1]
    architecture = engine.Architecture(2, (engine.Layer(30, "tanh"), engine.Layer(1, "identity")))
    plan = engine.Plan(
        architecture,
        "squared_error",
        engine.Adam(0.02),
        batch_size=4,
        epochs=300,
        early_stopping=EarlyStopping(patience=10),
    )
    return plan, engine.Data(x, y, validation_x, validation_y)


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("epochs", [300, 12])
def test_training_stops_and_gives_back_the_best_parameters(restore: bool, epochs: int) -> None:
    plan, data = overfitting()
    plan = dataclasses.replace(
        plan, epochs=epochs, early_stopping=EarlyStopping(patience=10, restore_best_weights=restore)
    )
    kept = {}
    finished = None
    for report in engine.train(engine.Snapshot.start(plan), data, plan):
        if isinstance(report, engine.Epoch):
            kept[report.epoch] = report, report.snapshot().parameters.sha256()
        elif isinstance(report, engine.Finished):
            finished = report
    assert finished is not None
    last = max(kept)
    best = min(kept, key=lambda epoch: kept[epoch][0].validation_cost or 0.0)
    assert finished.best_epoch == best < last
    assert finished.stop_reason == ("early_stopping" if last < epochs else "epochs_completed")
    assert last == min(epochs, best + 10)
    chosen = best if restore else last
    assert finished.parameters.sha256() == kept[chosen][1]
    assert finished.validation_cost == kept[chosen][0].validation_cost


def test_the_training_cost_can_be_watched_too() -> None:
    plan, data = overfitting()
    rule = EarlyStopping(monitor="cost", patience=1, min_delta=10.0)
    plan = dataclasses.replace(plan, early_stopping=rule)
    reports = list(engine.train(engine.Snapshot.start(plan), engine.Data(data.x, data.y), plan))
    assert len(reports) == 3
