"""The schedules against torch.optim.lr_scheduler: the same rate at every epoch."""

from typing import Any

import numpy as np
import pytest

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

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

BASE, EPOCHS = 0.3, 40


def optimizer() -> Any:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)


def law(schedule: Schedule, sgd: Any) -> Any:
    """torch's counterpart, without the warm-up."""
    scheduler = torch.optim.lr_scheduler
    match schedule:
        case Step(every, factor):
            return scheduler.StepLR(sgd, every, factor)
        case Exponential(factor):
            return scheduler.ExponentialLR(sgd, factor)
        case Cosine(final):
            return scheduler.CosineAnnealingLR(sgd, EPOCHS - 1 - schedule.warmup_epochs, eta_min=final)
    return scheduler.ConstantLR(sgd, factor=1.0)


def torchs(schedule: Schedule) -> list[float]:
    sgd, warm = optimizer(), schedule.warmup_epochs
    scheduler = law(schedule, sgd)
    if warm:
        sgd = optimizer()
        climb = torch.optim.lr_scheduler.LinearLR(sgd, start_factor=1 / warm, total_iters=warm - 1)
        scheduler = torch.optim.lr_scheduler.SequentialLR(sgd, [climb, law(schedule, sgd)], [warm])
    rates = []
    for _ in range(EPOCHS):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(warmup_epochs=7),
        Step(6, factor=0.4),
        Step(6, factor=0.4, warmup_epochs=5),
        Exponential(0.93),
        Exponential(0.93, warmup_epochs=5),
        Cosine(),
        Cosine(0.02),
        Cosine(0.02, warmup_epochs=5),
    ],
    ids=repr,
)
def test_every_epoch_has_pytorchs_rate(schedule: Schedule) -> None:
    rates = [rate(schedule, BASE, epoch, EPOCHS) for epoch in range(1, EPOCHS + 1)]
    np.testing.assert_allclose(rates, torchs(schedule), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_plateau_reduces_where_pytorchs_does_without_its_threshold(patience: int) -> None:
    draw = np.random.default_rng(patience)
    values = 1 / np.arange(1, 81) ** 0.5 + 0.05 * draw.standard_normal(80)
    sgd = optimizer()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        sgd, factor=0.5, patience=patience - 1, threshold=0, eps=0
    )
    plateau, state = Plateau(factor=0.5, patience=patience), PlateauState()
    for epoch, value in enumerate(values.tolist(), 1):
        assert rate(plateau, BASE, epoch, 80, state.reductions) == sgd.param_groups[0]["lr"]
        scheduler.step(value)
        state = observe(plateau, state, epoch, value)
    assert state.reductions > 2
