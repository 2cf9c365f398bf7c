"""A hundred steps of every optimizer against PyTorch's own, in float64 and from the same start: every cost of
the history and the last W, b. L-BFGS has a file to itself.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine.memory import Array

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

ROWS, BATCH, EPOCHS = 38, 8, 20  # five minibatches an epoch, the last of them smaller
Examples = Callable[[Any, Any], Any]

OPTIMIZERS: list[engine.Optimizer] = [
    engine.GradientDescent(0.3),
    engine.Momentum(0.05, 0.8),
    engine.Nesterov(0.05, 0.8),
    engine.RMSprop(0.01, 0.9, 1e-5),
    engine.Adam(0.02, 0.8, 0.99),
    engine.AdamW(0.02, 0.8, 0.99, decoupled_weight_decay=0.1),
]
# A rate at which the cost does not fall at every epoch: else a plateau would have nothing to do.
TOO_LARGE: dict[type[Any], int] = {
    engine.GradientDescent: 4,
    engine.Momentum: 14,
    engine.Nesterov: 14,
    engine.RMSprop: 7,
    engine.Adam: 7,
    engine.AdamW: 7,
}
SCHEDULES: list[engine.Schedule] = [
    engine.Constant(warmup_epochs=4),
    engine.Step(3, factor=0.5),
    engine.Exponential(0.9, warmup_epochs=3),
    engine.Cosine(0.001),
    engine.Cosine(0.001, warmup_epochs=5),
    engine.Plateau(factor=0.5, patience=1),
    engine.Plateau(factor=0.5, patience=2, warmup_epochs=3),
]


def cross_entropy(outputs: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(outputs, y.argmax(1), reduction="none")


def squared_error(outputs: Any, y: Any) -> Any:
    return 0.5 * ((outputs - y) ** 2).sum(1)


TASKS: dict[str, tuple[str, Examples]] = {
    "cross_entropy": ("softmax", cross_entropy),
    "squared_error": ("identity", squared_error),
}


def plan_of(cost: str, optimizer: engine.Optimizer, **changes: Any) -> engine.Plan:
    output = engine.Layer(3, TASKS[cost][0])
    network = engine.Architecture(5, (engine.Layer(8, "tanh"), engine.Layer(6, "sigmoid"), output))
    return engine.Plan(
        network,
        cost,
        optimizer,
        BATCH,
        EPOCHS,
        lambda_=0.01,
        seed=3,
        shuffle=False,
        dtype="float64",
        **changes,
    )


def data_of(plan: engine.Plan, weights: Array | None = None) -> engine.Data:
    draw = np.random.default_rng(1)
    x = draw.standard_normal((ROWS, 5))
    if plan.cost == "cross_entropy":
        return engine.Data(x, np.eye(3)[draw.integers(0, 3, ROWS)], weights=weights)
    return engine.Data(x, np.sin(x[:, :3]) + 0.1 * draw.standard_normal((ROWS, 3)), weights=weights)


def of_torch(optimizer: engine.Optimizer, W: list[Any], b: list[Any]) -> Any:
    match optimizer:
        case engine.GradientDescent(alpha):
            return torch.optim.SGD(W + b, lr=alpha)
        case engine.Momentum(alpha, mu):
            return torch.optim.SGD(W + b, lr=alpha, momentum=mu)
        case engine.Nesterov(alpha, mu):
            return torch.optim.SGD(W + b, lr=alpha, momentum=mu, nesterov=True)
        case engine.RMSprop(alpha, rho, epsilon):
            return torch.optim.RMSprop(W + b, lr=alpha, alpha=rho, eps=epsilon)
        case engine.Adam(alpha, beta1, beta2, epsilon):
            return torch.optim.Adam(W + b, lr=alpha, betas=(beta1, beta2), eps=epsilon)
        case engine.AdamW(alpha, beta1, beta2, epsilon, decay):
            groups = [{"params": W, "weight_decay": decay}, {"params": b, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=alpha, betas=(beta1, beta2), eps=epsilon)
    raise AssertionError(optimizer)


def law(schedule: engine.Schedule, optimizer: Any) -> Any:
    """torch's counterpart from the end of the warm-up on."""
    rates = torch.optim.lr_scheduler
    match schedule:
        case engine.Step(every, factor):
            return rates.StepLR(optimizer, every, factor)
        case engine.Exponential(factor):
            return rates.ExponentialLR(optimizer, factor)
        case engine.Cosine(final, warm):
            return rates.CosineAnnealingLR(optimizer, EPOCHS - 1 - warm, eta_min=final)
        case engine.Plateau(factor, patience):
            return rates.ReduceLROnPlateau(
                optimizer, factor=factor, patience=patience - 1, threshold=0, eps=0
            )
    return rates.ConstantLR(optimizer, factor=1.0)


class Rates:
    """Sets the rate of each epoch of torch's optimizer: a climb in equal steps, then torch's scheduler."""

    def __init__(self, schedule: engine.Schedule, optimizer: Any) -> None:
        self.schedule, self.optimizer, self.epoch = schedule, optimizer, 1
        self.base = optimizer.param_groups[0]["lr"]
        if schedule.warmup_epochs:
            self.climb = torch.optim.lr_scheduler.LinearLR(
                optimizer, start_factor=1 / schedule.warmup_epochs, total_iters=schedule.warmup_epochs - 1
            )
        else:
            self.law = law(schedule, optimizer)

    @property
    def now(self) -> float:
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def step(self, cost: float) -> None:
        before = self.now
        if self.epoch < self.schedule.warmup_epochs:
            self.climb.step()
        elif self.epoch == self.schedule.warmup_epochs:
            self.law = law(self.schedule, self.optimizer)
        elif isinstance(self.schedule, engine.Plateau):
            self.law.step(cost)
        else:
            self.law.step()
        self.epoch += 1
        # torch's velocity is ours over -α, and the rate that it was gathered under is ours to keep.
        for state in self.optimizer.state.values():
            if state.get("momentum_buffer") is not None:
                state["momentum_buffer"] *= before / self.now


def torchs(plan: engine.Plan, data: engine.Data) -> tuple[list[float], list[float], list[Any]]:
    """The cost and the rate of each epoch, and W^(1), b^(1), W^(2), … at the end."""
    start = engine.initialise(plan.architecture, plan.seed, plan.dtype)
    pairs = [tuple(torch.tensor(part, requires_grad=True) for part in pair) for pair in start.pairs()]
    W, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    optimizer, examples = of_torch(plan.optimizer, W, b), TASKS[plan.cost][1]
    rates = Rates(plan.schedule, optimizer)
    x, y = torch.tensor(data.x), torch.tensor(data.y)
    v = torch.tensor(np.ones(ROWS) if data.weights is None else data.weights)
    history: tuple[list[float], list[float]] = [], []
    for _ in range(plan.epochs):
        total, mass = 0.0, 0.0
        for first in range(0, ROWS, BATCH):
            batch = slice(first, first + BATCH)
            a = x[batch]
            for l, (weights, biases) in enumerate(pairs):
                z = a @ weights.T + biases
                a = (torch.tanh, torch.sigmoid, lambda z: z)[l](z)
            J = (v[batch] * examples(a, y[batch])).sum() / v[batch].sum()
            J = J + plan.lambda_ / 2 * sum((weights**2).sum() for weights in W)
            optimizer.zero_grad()
            J.backward()
            if plan.clip_norm is not None:
                norm = torch.sqrt(sum((each.grad**2).sum() for each in W + b))
                for each in W + b:
                    each.grad *= min(1.0, plan.clip_norm / float(norm))
            optimizer.step()
            total, mass = total + float(v[batch].sum() * J.detach()), mass + float(v[batch].sum())
        history[0].append(total / mass)
        history[1].append(rates.now)
        rates.step(total / mass)
    return *history, [part.detach().numpy() for pair in pairs for part in pair]


def compared(plan: engine.Plan, data: engine.Data) -> list[float]:
    """The rates, once all has been compared."""
    *rows, finished = engine.train(engine.Snapshot.start(plan), data, plan)
    assert isinstance(finished, engine.Finished)
    epochs = [row for row in rows if isinstance(row, engine.Epoch)]
    costs, rates, parameters = torchs(plan, data)
    assert len(epochs) == plan.epochs
    np.testing.assert_allclose([row.learning_rate for row in epochs], rates, rtol=1e-12)
    np.testing.assert_allclose(np.array([row.cost for row in epochs], float), np.array(costs), rtol=1e-9)
    ours = [part for pair in finished.parameters.pairs() for part in pair]
    for mine, its in zip(ours, parameters, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-9)
    return rates


def names(value: object) -> str:
    return type(value).__name__ if dataclasses.is_dataclass(value) else str(value)


every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=names)
every_task = pytest.mark.parametrize("cost", TASKS)


@every_task
@every_optimizer
@pytest.mark.parametrize("clip_norm", [None, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_hundred_steps_are_pytorchs(
    cost: str, optimizer: engine.Optimizer, clip_norm: float | None, weighted: bool
) -> None:
    plan = plan_of(cost, optimizer, clip_norm=clip_norm)
    weights = np.random.default_rng(5).choice([0.0, 0.5, 1.0, 3.0], ROWS) if weighted else None
    compared(plan, data_of(plan, weights))


@every_optimizer
def test_class_weights_are_pytorchs(optimizer: engine.Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's weighted mean over a minibatch is Σ w J / Σ w, as ours is with each class's weight at its
    examples.
    """
    plan, w = plan_of("cross_entropy", optimizer), np.array([0.4, 1.0, 2.5])
    data = data_of(plan)
    weights = w[data.y.argmax(1)]
    loss = torch.nn.CrossEntropyLoss(torch.tensor(w))

    def mean(outputs: Any, y: Any) -> Any:
        return loss(outputs, y.argmax(1)).expand(len(y))  # of equal numbers, any weighted mean is that number

    monkeypatch.setitem(TASKS, "cross_entropy", ("softmax", mean))
    compared(plan, dataclasses.replace(data, weights=weights))


@every_optimizer
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_changes_the_steps_as_pytorchs_does(
    optimizer: engine.Optimizer, schedule: engine.Schedule
) -> None:
    assert not isinstance(optimizer, engine.LBFGS)
    if isinstance(schedule, engine.Plateau):
        rate = optimizer.learning_rate * TOO_LARGE[type(optimizer)]
        optimizer = dataclasses.replace(optimizer, learning_rate=rate)
    plan = plan_of("squared_error", optimizer, schedule=schedule)
    rates = compared(plan, data_of(plan))
    assert len(set(rates)) > (max(1, schedule.warmup_epochs) if isinstance(schedule, engine.Plateau) else 2)
