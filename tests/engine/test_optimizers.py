"""Every optimizer against its definition, written array by array."""

from typing import Any

import numpy as np
import pytest

from app.engine import optimizers, update
from app.engine.leaves import shares_of_parameters
from app.engine.memory import aligned_zeros
from app.engine.network import Architecture, Layer, Parameters
from app.engine.optimizers import Adam, AdamW, FirstOrder, GradientDescent, Momentum, Nesterov, RMSprop
from app.engine.tape import play
from app.engine.update import Update

ARCHITECTURE = Architecture(3, (Layer(4, "tanh"), Layer(2, "identity")))


def filled(seed: int) -> Parameters:
    parameters = Parameters.zeros(ARCHITECTURE, "float64")
    for _, array in parameters.named():
        array[...] = np.random.default_rng([seed, array.size]).standard_normal(array.shape)
    return parameters


ALL: list[FirstOrder] = [
    GradientDescent(),
    Momentum(),
    Nesterov(momentum=0.8),
    RMSprop(rho=0.7, epsilon=0.01),
    Adam(epsilon=0.1),
    AdamW(epsilon=0.1, decoupled_weight_decay=0.3),
]


def made(optimizer: FirstOrder, parameters: Parameters, lambda_: float, **options: Any) -> Update:
    clip_norm, leaves = options.get("clip_norm"), options.get("leaves", 1)
    state, shares = optimizers.start(optimizer, parameters), shares_of_parameters(parameters, leaves)
    return Update(optimizer, lambda_, clip_norm, parameters, state, shares, 1, aligned_zeros)


def steps(
    optimizer: FirstOrder, count: int, alpha: float, lambda_: float = 0.0, **options: Any
) -> Parameters:
    parameters, gradient = filled(0), Parameters.zeros(ARCHITECTURE, "float64")
    updating = made(optimizer, parameters, lambda_, **options)
    stages = updating.stages([gradient], 0, last=True)
    for t in range(count):
        np.copyto(gradient.flat, filled(t + 1).flat)
        updating.set_rate(alpha)
        for stage in stages:
            for leaf in stage:
                play(leaf)
        updating.steps_done(1)
    assert updating.state.t == count
    return parameters


def naive(
    optimizer: Any, count: int, alpha: float, lambda_: float = 0.0, clip_norm: float = np.inf
) -> Parameters:
    """The same in the words of the papers, array by array."""
    parameters = filled(0)
    memory = {name: (np.zeros_like(theta), np.zeros_like(theta)) for name, theta in parameters.named()}
    for t in range(1, count + 1):
        gradient = filled(t)
        gradient.weights += lambda_ * parameters.weights
        norm = np.linalg.norm(gradient.flat)
        gradient.flat *= min(1.0, float(clip_norm / norm))
        slopes = dict(gradient.named())
        for name, theta in parameters.named():
            (m, v), g = memory[name], slopes[name]
            match optimizer:
                case GradientDescent():
                    theta -= alpha * g
                case Momentum(momentum=mu):
                    v = mu * v - alpha * g
                    theta += v
                case Nesterov(momentum=mu):
                    v = mu * v - alpha * g
                    theta += mu * v - alpha * g
                case RMSprop(rho=rho, epsilon=epsilon):
                    v = rho * v + (1 - rho) * g**2
                    theta -= alpha * g / (np.sqrt(v) + epsilon)
                case Adam() | AdamW():
                    if isinstance(optimizer, AdamW) and name.startswith("W"):
                        theta *= 1 - alpha * optimizer.decoupled_weight_decay
                    m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
                    v = optimizer.beta2 * v + (1 - optimizer.beta2) * g**2
                    m_hat, v_hat = m / (1 - optimizer.beta1**t), v / (1 - optimizer.beta2**t)
                    theta -= alpha * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
            memory[name] = m, v
    return parameters


def names(optimizer: FirstOrder) -> str:
    return type(optimizer).__name__


@pytest.mark.parametrize("clip_norm", [None, 1.5])
@pytest.mark.parametrize("lambda_", [0.0, 0.3])
@pytest.mark.parametrize("optimizer", ALL, ids=names)
def test_each_optimizer_follows_its_definition(
    optimizer: FirstOrder, lambda_: float, clip_norm: float | None
) -> None:
    np.testing.assert_allclose(
        steps(optimizer, 7, 0.05, lambda_, clip_norm=clip_norm).flat,
        naive(optimizer, 7, 0.05, lambda_, clip_norm or np.inf).flat,
        rtol=1e-12,
        atol=1e-14,
    )


def test_a_gradient_that_is_short_enough_is_not_clipped() -> None:
    whole = steps(GradientDescent(), 3, 0.1)
    assert steps(GradientDescent(), 3, 0.1, clip_norm=100.0).sha256() == whole.sha256()
    assert steps(GradientDescent(), 3, 0.1, clip_norm=0.5).sha256() != whole.sha256()


def test_adam_s_first_step_is_alpha_in_the_gradient_s_direction() -> None:
    moved = filled(0).flat - steps(Adam(), 1, 0.01).flat
    np.testing.assert_allclose(moved, 0.01 * np.sign(filled(1).flat), atol=1e-8)


@pytest.mark.parametrize("optimizer", ALL, ids=names)
def test_spans_and_leaves_change_no_bit_of_the_parameters(
    optimizer: FirstOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = steps(optimizer, 5, 0.05, 0.1)
    monkeypatch.setattr(update, "SPAN", 7)
    assert steps(optimizer, 5, 0.05, 0.1).sha256() == whole.sha256()
    assert steps(optimizer, 5, 0.05, 0.1, leaves=3).sha256() == whole.sha256()


@pytest.mark.parametrize("span", [7, 16384])
def test_the_gradient_is_left_with_its_decay_and_the_squares_are_of_the_old_weights(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "SPAN", span)
    parameters, gradient = filled(0), filled(1)
    updating = made(GradientDescent(), parameters, 0.5)
    updating.set_rate(0.1)
    for stage in updating.stages([gradient], 0, last=True):
        play(stage[0])
    assert updating.squares.sum() == pytest.approx(filled(0).squared_weights())
    np.testing.assert_allclose(gradient.W[1], filled(1).W[1] + 0.5 * filled(0).W[1])
    np.testing.assert_array_equal(gradient.b[1], filled(1).b[1])
    assert updating.gradient_norm(gradient, 0) == pytest.approx(np.linalg.norm(gradient.flat))
    assert updating.is_finite(0)


def test_the_leaves_gradients_are_added_two_by_two() -> None:
    parameters, parts = filled(0), [filled(q) for q in range(1, 6)]
    expected = (parts[0].flat + parts[1].flat) + (parts[2].flat + parts[3].flat) + parts[4].flat
    updating = made(GradientDescent(), parameters, 0.0)
    for stage in updating.stages(parts, 0, last=False):
        play(stage[0])
    np.testing.assert_array_equal(parts[0].flat, expected)
