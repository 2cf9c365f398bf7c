"""The updates of the flat parameter vector: gradient descent (7)-(8) first, then the extensions.

An optimizer is a frozen record of its hyperparameters. ``start`` makes its state, explicit and plain: arrays
in the form of the parameters and the number t of steps done. The steps are elementwise and in place; g is
only read. ``Update`` runs them over the vector span by span.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.engine.network import Array, Parameters, aligned_zeros


@dataclass(frozen=True)
class GradientDescent:
    """(7)-(8), the paper's own."""

    learning_rate: float = 0.1


@dataclass(frozen=True)
class Momentum:
    """v ← μ v − α ∇; θ ← θ + v: as in Keras. PyTorch's v is −v/α: the same θ while α is constant."""

    learning_rate: float = 0.01
    momentum: float = 0.9


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba 2015, algorithm 1, with both bias corrections."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


Optimizer = GradientDescent | Momentum | Adam


def gradient_descent(
    o: GradientDescent, alpha: float, t: int, theta: Array, g: Array, scratch: Array
) -> None:
    np.multiply(g, alpha, scratch)
    np.subtract(theta, scratch, theta)  # (7), (8)


def momentum(o: Momentum, alpha: float, t: int, theta: Array, g: Array, scratch: Array, v: Array) -> None:
    np.multiply(v, o.momentum, v)
    np.multiply(g, alpha, scratch)
    np.subtract(v, scratch, v)
    np.add(theta, v, theta)


def adam(o: Adam, alpha: float, t: int, theta: Array, g: Array, scratch: Array, m: Array, v: Array) -> None:
    """θ ← θ − α m̂ / (√v̂ + ε), m̂ = m / (1 − β1^t), v̂ = v / (1 − β2^t).

    The corrections are drawn out of the vectors into two numbers, which changes nothing but the rounding:
    θ ← θ − α_t m / (√v + ε_t), with c = √(1 − β2^t), α_t = α c / (1 − β1^t) and ε_t = ε c.
    """
    correction = (1 - o.beta2**t) ** 0.5
    np.multiply(m, o.beta1, m)
    np.multiply(g, 1 - o.beta1, scratch)
    np.add(m, scratch, m)  # m ← β1 m + (1 − β1) ∇
    np.multiply(v, o.beta2, v)
    np.multiply(g, g, scratch)
    np.multiply(scratch, 1 - o.beta2, scratch)
    np.add(v, scratch, v)  # v ← β2 v + (1 − β2) ∇²
    np.sqrt(v, scratch)
    np.add(scratch, o.epsilon * correction, scratch)
    np.divide(m, scratch, scratch)
    np.multiply(scratch, alpha * correction / (1 - o.beta1**t), scratch)
    np.subtract(theta, scratch, theta)


# The names of each optimizer's state, and its step.
OPTIMIZERS: Mapping[type[Any], tuple[tuple[str, ...], Callable[..., None]]] = {
    GradientDescent: ((), gradient_descent),
    Momentum: (("momentum_v",), momentum),
    Adam: (("adam_m", "adam_v"), adam),
}


@dataclass
class OptimizerState:
    """t, the number of steps done, and by name what the optimizer remembers of them."""

    t: int
    arrays: dict[str, Parameters]

    def copy(self) -> "OptimizerState":
        return OptimizerState(self.t, {name: array.copy() for name, array in self.arrays.items()})


def start(optimizer: Optimizer, parameters: Parameters) -> OptimizerState:
    """The state before the first step: t = 0 and zeros."""
    names, _ = OPTIMIZERS[type(optimizer)]
    zeros = (Parameters.zeros(parameters.architecture, parameters.flat.dtype) for _ in names)
    return OptimizerState(0, dict(zip(names, zeros, strict=True)))


# A span's θ, g, scratch and state stay in the second-level cache while a step goes over them several times.
SPAN = 16384


class Update:
    """One step for all parameters: decay (9), then the optimizer, in place."""

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Parameters,
        gradient: Parameters,
        state: OptimizerState,
        lambda_: float,
    ) -> None:
        self.optimizer, self.state = optimizer, state
        self.decays = lambda_ != 0.0
        self.lambda_ = np.full((), lambda_, parameters.flat.dtype)
        self.step = OPTIMIZERS[type(optimizer)][1]
        room = aligned_zeros(min(SPAN, len(parameters.flat)), parameters.flat.dtype)
        vectors = [parameters.flat, gradient.flat, *(array.flat for array in state.arrays.values())]
        self.spans = []
        for first in range(0, len(parameters.flat), SPAN):
            cut = slice(first, first + SPAN)
            W, nabla_W = parameters.weights[cut], gradient.weights[cut]
            theta, g, *remembered = (vector[cut] for vector in vectors)
            self.spans.append(((W, nabla_W, room[: len(W)]), (theta, g, room[: len(theta)], *remembered)))

    def __call__(self, alpha: float) -> float:
        """The gradient comes without decay and is left with it. Returns ΣW² as it was before (0 if λ = 0)."""
        self.state.t += 1
        squares = 0.0
        for (W, nabla_W, scratch), arrays in self.spans:
            if self.decays:
                squares += float(np.dot(W, W))
                np.multiply(W, self.lambda_, scratch)
                np.add(nabla_W, scratch, nabla_W)  # (9)
            self.step(self.optimizer, alpha, self.state.t, *arrays)
        return squares
