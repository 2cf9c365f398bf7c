"""L-BFGS against torch.optim.LBFGS with its strong Wolfe search, one step() per iteration, in float64.

Both round differently, in the last digit of sums, and along a narrow valley every iteration makes that
larger: PyTorch departs from itself as far if its start is changed by one rounding. So whole runs are compared
where that does not happen, elsewhere with that distance, and single iterations from PyTorch's own memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.engine import lbfgs
from app.engine.lbfgs import LBFGS, LBFGSState, Outcome, iteration
from app.engine.memory import Array

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

Cost = Callable[[Any], Any]


def rosenbrock(theta: Any) -> Any:
    return (100 * (theta[1:] - theta[:-1] ** 2) ** 2 + (1 - theta[:-1]) ** 2).sum()


def quadratic(condition: float) -> Cost:
    Q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((30, 30)))
    rotation, curvature = torch.tensor(Q), torch.tensor(np.geomspace(1, condition, 30))
    return lambda theta: 0.5 * (curvature * (rotation @ theta) ** 2).sum() - theta.sum()


def network(hidden: int, lambda_: float) -> Cost:
    """J of a 3-hidden-2 network, tanh inside and identity at the end, its parameters in one vector."""
    draw = np.random.default_rng(3)
    x, y = torch.tensor(draw.standard_normal((60, 3))), torch.tensor(draw.standard_normal((60, 2)))

    def cost(theta: Any) -> Any:
        W1, b1, W2, b2 = theta.split([3 * hidden, hidden, 2 * hidden, 2])
        outputs = torch.tanh(x @ W1.view(hidden, 3).T + b1) @ W2.view(2, hidden).T + b2
        return ((outputs - y) ** 2).sum() / 120 + lambda_ / 2 * ((W1**2).sum() + (W2**2).sum())

    return cost


def normal(size: int) -> Array:
    return np.random.default_rng(3).standard_normal(size)


class Reference:
    """torch's optimizer, one iteration at a time, with at most 25 evaluations in a search."""

    def __init__(self, cost: Cost, start: Array, o: LBFGS) -> None:
        self.cost, self.o = cost, o
        self.parameter = torch.nn.Parameter(torch.tensor(start))
        self.optimizer = torch.optim.LBFGS(
            [self.parameter],
            max_iter=1,
            max_eval=25,
            tolerance_grad=o.tolerance,
            tolerance_change=0.0,
            history_size=o.memory,
            line_search_fn="strong_wolfe",
        )

    def theta(self) -> Array:
        made: Array = self.parameter.detach().numpy().copy()
        return made

    def step(self) -> None:
        def closure() -> Any:
            self.optimizer.zero_grad()
            J = self.cost(self.parameter)
            J.backward()
            return J

        self.optimizer.step(closure)

    def memory(self) -> LBFGSState:
        """What it will remember at its next step, in our form."""
        state = self.optimizer.state[self.parameter]
        if "d" not in state:
            return lbfgs.start(self.o, self.theta())
        _, g = evaluated(self.cost, self.theta())
        pairs = [(s.numpy(), y.numpy()) for s, y in zip(state["old_stps"], state["old_dirs"], strict=True)]
        pairs.append(((state["d"] * state["t"]).numpy(), g - state["prev_flat_grad"].numpy()))
        assert pairs[-1][0] @ pairs[-1][1] > 1e-10, "ends before pairs are left out"
        pairs = pairs[-self.o.memory :]
        made = lbfgs.start(self.o, self.theta())
        for row, (s, y) in enumerate(pairs):
            made.arrays["s"][row], made.arrays["y"][row], made.arrays["rho"][row] = s, y, 1 / (s @ y)
        s, y = pairs[-1]
        made.scalars.update(count=len(pairs), next=len(pairs) % self.o.memory, gamma=float(s @ y / (y @ y)))
        return made


def evaluated(cost: Cost, theta: Array) -> tuple[float, Array]:
    at = torch.tensor(theta, requires_grad=True)
    J = cost(at)
    J.backward()
    return float(J.detach()), at.grad.numpy()


def iterated(o: LBFGS, state: LBFGSState, theta: Array, cost: Cost, J: float, g: Array) -> Outcome:
    search = iteration(o, state, theta, J, g)
    try:
        next(search)
        while True:
            search.send(evaluated(cost, theta))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def distances(o: LBFGS, cost: Cost, start: Array) -> tuple[Array, Array, bool]:
    """After each of 100 iterations, or until the tolerance is met, which the last says.

    The largest difference in θ between us and PyTorch, and between PyTorch and itself from a start that is
    one rounding away.
    """
    theta, state = start.copy(), lbfgs.start(o, start)
    reference, beside = Reference(cost, start, o), Reference(cost, start * (1 + 2**-52), o)
    (J, g), converged = evaluated(cost, theta), False
    ours: list[float] = []
    its_own: list[float] = []
    while len(ours) < 100 and not converged:
        J, g, _, _, converged = iterated(o, state, theta, cost, J, g)
        reference.step()
        beside.step()
        ours.append(np.abs(theta - reference.theta()).max())
        its_own.append(np.abs(beside.theta() - reference.theta()).max())
    return np.array(ours), np.array(its_own), converged


@pytest.mark.parametrize(
    ("o", "cost", "start", "least", "to_the_end"),
    [
        (LBFGS(), rosenbrock, np.array([-1.2, 1.0]), 30, True),
        # Nearer to its least, PyTorch drops pairs by their length (s·y ≤ 1e-10), and we only by their angle.
        (LBFGS(tolerance=1e-4), quadratic(1e2), normal(30), 45, True),
        (LBFGS(30), quadratic(1e3), normal(30), 100, False),
        (LBFGS(tolerance=1e-5), network(4, 0.1), 0.5 * normal(26), 50, True),
        (LBFGS(tolerance=1e-5), network(4, 0.01), 0.5 * normal(26), 50, True),
    ],
    ids=["rosenbrock", "quadratic 1e2", "quadratic 1e3", "tanh network 0.1", "tanh network 0.01"],
)
def test_up_to_a_hundred_iterations_are_pytorchs(
    o: LBFGS, cost: Cost, start: Array, least: int, to_the_end: bool
) -> None:
    ours, _, converged = distances(o, cost, start)
    assert ours.max() <= 1e-9
    assert len(ours) >= least
    assert converged == to_the_end


@pytest.mark.parametrize(
    ("cost", "start"),
    [
        (rosenbrock, normal(100)),
        (quadratic(1e6), normal(30)),
        (network(4, 0.001), 0.5 * normal(26)),
        (network(8, 0.01), 0.5 * normal(50)),
    ],
    ids=["rosenbrock", "quadratic 1e6", "tanh network of 4", "tanh network of 8"],
)
def test_elsewhere_a_hundred_are_about_as_far_as_pytorch_is_from_itself(cost: Cost, start: Array) -> None:
    ours, its_own, _ = distances(LBFGS(), cost, start)
    assert len(ours) == 100
    assert (ours <= 1e-12 + 100 * np.maximum.accumulate(its_own)).all()


@pytest.mark.parametrize("memory", [3, 10])
@pytest.mark.parametrize(
    ("cost", "start"),
    [(rosenbrock, normal(60)), (quadratic(1e6), normal(30)), (network(8, 0.0), normal(50))],
    ids=["rosenbrock", "quadratic 1e6", "tanh network"],
)
def test_each_iteration_from_pytorchs_point_and_memory_is_pytorchs(
    cost: Cost, start: Array, memory: int
) -> None:
    o = LBFGS(memory)
    reference = Reference(cost, start, o)
    for _ in range(100):
        theta, state = reference.theta(), reference.memory()
        iterated(o, state, theta, cost, *evaluated(cost, theta))
        reference.step()
        np.testing.assert_allclose(theta, reference.theta(), rtol=1e-13, atol=1e-13)
