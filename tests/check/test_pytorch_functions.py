"""Every activation, its slope, and every cost with its error term, against PyTorch in float64."""

from typing import Any

import numpy as np
import pytest

from app.engine import ACTIVATIONS, COSTS

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

functional = torch.nn.functional

THEIRS: dict[str, Any] = {
    "identity": lambda z: z * 1.0,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "softplus": lambda z: functional.softplus(z, threshold=100.0),
    "silu": functional.silu,
    "gelu": functional.gelu,
    "softmax": lambda z: functional.softmax(z, 0),
}

COSTS_OF_THEIRS: dict[str, Any] = {
    "squared_error": lambda a, y: functional.mse_loss(a, y, reduction="none").sum(0) / 2,
    "absolute_error": lambda a, y: functional.l1_loss(a, y, reduction="none").sum(0),
    "huber": lambda a, y: functional.huber_loss(a, y, reduction="none", delta=1.0).sum(0),
}

ENDS = [(cost, output) for cost, forms in COSTS.items() for output in forms]


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_pytorch(name: str) -> None:
    z = np.concatenate([np.linspace(-5, 5, 1001), np.linspace(-60, 60, 499)]).reshape(3, 500)
    ours, slope = np.empty_like(z), np.empty_like(z)
    ACTIVATIONS[name].f(z, ours)
    given = tensor(z)
    theirs = THEIRS[name](given)
    # Their GELU adds 1 to erf and so knows its tail to 1e-16 of |z|, not of itself.
    atol = 1e-14 if name == "gelu" else 0.0
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=atol)
    f_prime = ACTIVATIONS[name].f_prime
    if f_prime is None:
        return
    f_prime(z, ours, slope)
    theirs.sum().backward()
    # Slopes made of a, on either side, are known to 1e-16 of 1.
    np.testing.assert_allclose(slope, given.grad.numpy(), rtol=1e-12, atol=1e-15 if atol == 0 else atol)


@pytest.mark.parametrize(("cost", "output"), ENDS)
def test_costs_and_their_error_terms_are_those_of_pytorch(cost: str, output: str) -> None:
    draw = np.random.default_rng(3)
    z, y, v = 2 * draw.standard_normal((4, 50)), draw.standard_normal((4, 50)), draw.random(50)
    if cost == "cross_entropy":
        y = draw.random((4, 50))
        y /= y.sum(axis=0) if output == "softmax" else 1.0
    form, row = COSTS[cost][output], ACTIVATIONS[output]
    a, delta, slope = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    row.f(z, a)
    form.delta(a, y, delta)
    if not form.at_z:
        assert row.f_prime is not None
        row.f_prime(z, a, slope)
        delta *= slope

    given, target = tensor(z), torch.tensor(y)
    if output == "softmax" and cost == "cross_entropy":
        examples = -(target * functional.log_softmax(given, 0)).sum(0)
    elif cost == "cross_entropy":
        loss = functional.binary_cross_entropy_with_logits(given, target, reduction="none")
        examples = loss.sum(0)
    else:
        examples = COSTS_OF_THEIRS[cost](THEIRS[output](given), target)
    expected = examples.detach().numpy()
    np.testing.assert_allclose(form.examples(a, y), expected, rtol=1e-12)
    assert form.total(a, y) == pytest.approx(expected.sum(), rel=1e-12)
    assert form.total(a, y, v) == pytest.approx((v * expected).sum(), rel=1e-12)
    examples.sum().backward()
    np.testing.assert_allclose(delta, given.grad.numpy(), rtol=1e-12, atol=1e-15)
