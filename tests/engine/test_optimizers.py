import numpy as np
import pytest

from app.engine import optimizers
from app.engine.network import Architecture, Layer, Parameters
from app.engine.optimizers import Adam, GradientDescent, Momentum, Optimizer, Update

ARCHITECTURE = Architecture(3, (Layer(4, "tanh"), Layer(2, "identity")))


def filled(seed: int) -> Parameters:
    parameters = Parameters.zeros(ARCHITECTURE, "float64")
    for _, array in parameters.named():
        array[...] = np.random.default_rng([seed, array.size]).standard_normal(array.shape)
    return parameters


def steps(optimizer: Optimizer, count: int, alpha: float, lambda_: float = 0.0) -> Parameters:
    parameters, gradient = filled(0), Parameters.zeros(ARCHITECTURE, "float64")
    update = Update(optimizer, parameters, gradient, optimizers.start(optimizer, parameters), lambda_)
    for t in range(count):
        np.copyto(gradient.flat, filled(t + 1).flat)
        update(alpha)
    return parameters


def naive(optimizer: Optimizer, count: int, alpha: float, lambda_: float = 0.0) -> Parameters:
    """The same in the words of the papers, array by array."""
    parameters = filled(0)
    for name, theta in parameters.named():
        m, v = np.zeros_like(theta), np.zeros_like(theta)
        for t in range(1, count + 1):
            g = dict(filled(t).named())[name] + (lambda_ * theta if name.startswith("W") else 0.0)
            if isinstance(optimizer, GradientDescent):
                theta -= alpha * g
            elif isinstance(optimizer, Momentum):
                v = optimizer.momentum * v - alpha * g
                theta += v
            else:
                m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
                v = optimizer.beta2 * v + (1 - optimizer.beta2) * g**2
                m_hat, v_hat = m / (1 - optimizer.beta1**t), v / (1 - optimizer.beta2**t)
                theta -= alpha * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
    return parameters


@pytest.mark.parametrize("lambda_", [0.0, 0.3])
@pytest.mark.parametrize("optimizer", [GradientDescent(), Momentum(), Adam(epsilon=0.1)])
def test_each_optimizer_follows_its_definition(optimizer: Optimizer, lambda_: float) -> None:
    np.testing.assert_allclose(
        steps(optimizer, 7, 0.05, lambda_).flat,
        naive(optimizer, 7, 0.05, lambda_).flat,
        rtol=1e-12,
        atol=1e-14,
    )


def test_adam_s_first_step_is_alpha_in_the_gradient_s_direction() -> None:
    moved = filled(0).flat - steps(Adam(), 1, 0.01).flat
    np.testing.assert_allclose(moved, 0.01 * np.sign(filled(1).flat), atol=1e-8)


@pytest.mark.parametrize("optimizer", [GradientDescent(), Momentum(), Adam()])
def test_the_length_of_the_spans_changes_no_bit(
    optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = steps(optimizer, 5, 0.05, 0.1)
    monkeypatch.setattr(optimizers, "SPAN", 7)
    assert steps(optimizer, 5, 0.05, 0.1).sha256() == whole.sha256()


@pytest.mark.parametrize("span", [7, 16384])
def test_the_gradient_is_left_with_its_decay_and_the_squares_are_of_the_old_weights(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "SPAN", span)
    parameters, gradient = filled(0), filled(1)
    state = optimizers.start(GradientDescent(), parameters)
    squares = Update(GradientDescent(), parameters, gradient, state, 0.5)(0.1)
    assert squares == pytest.approx(filled(0).squared_weights())
    np.testing.assert_allclose(gradient.W[1], filled(1).W[1] + 0.5 * filled(0).W[1])
    np.testing.assert_array_equal(gradient.b[1], filled(1).b[1])
    assert state.t == 1
