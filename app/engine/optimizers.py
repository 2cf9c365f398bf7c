"""The updates of the flat parameter vector: gradient descent (7)-(8) first, then the extensions.

An optimizer is a frozen record of its hyperparameters. `start` makes its state, explicit and plain: arrays in
the form of the parameters, and the number t of steps done. A step is elementwise and in place; g is only
read. Its numbers come as arrays of no dimension, made anew by ``numbers`` from α and t, so that a taped step
has the new ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from app.engine.lbfgs import LBFGS
from app.engine.memory import Array
from app.engine.network import Parameters
from app.engine.tape import Do

SPAN = 16384
"""θ, g, scratch and state of so many parameters stay in the second-level cache during a step."""

FLUSH_STEPS = 32
"""Steps of which the last one's memory is looked through for numbers too small to be worth their time."""


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
class Nesterov:
    """v ← μ v − α ∇; θ ← θ + μ v − α ∇: as in Keras and PyTorch (Sutskever et al. 2013, shifted by one)."""

    learning_rate: float = 0.01
    momentum: float = 0.9


@dataclass(frozen=True)
class RMSprop:
    """v ← ρ v + (1 − ρ) ∇²; θ ← θ − α ∇ / (√v + ε): as in PyTorch. Keras has √(v + ε)."""

    learning_rate: float = 0.001
    rho: float = 0.9
    epsilon: float = 1e-7


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba 2015, algorithm 1, with both bias corrections."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class AdamW:
    """Adam, and W ← (1 − α · decoupled_weight_decay) W before it; no bias (Loshchilov & Hutter 2019)."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decoupled_weight_decay: float = 0.01


FirstOrder = GradientDescent | Momentum | Nesterov | RMSprop | Adam | AdamW
Optimizer = FirstOrder | LBFGS


def gradient_descent(do: Do, theta: Array, g: Array, scratch: Array, alpha: Array) -> None:
    do(np.multiply, g, alpha, scratch)
    do(np.subtract, theta, scratch, theta)  # (7), (8)


def momentum(do: Do, theta: Array, g: Array, scratch: Array, alpha: Array, mu: Array, v: Array) -> None:
    do(np.multiply, v, mu, v)
    do(np.multiply, g, alpha, scratch)
    do(np.subtract, v, scratch, v)
    do(np.add, theta, v, theta)


def nesterov(do: Do, theta: Array, g: Array, scratch: Array, alpha: Array, mu: Array, v: Array) -> None:
    do(np.multiply, v, mu, v)
    do(np.multiply, g, alpha, scratch)
    do(np.subtract, v, scratch, v)
    do(np.subtract, theta, scratch, theta)
    do(np.multiply, v, mu, scratch)
    do(np.add, theta, scratch, theta)


def _mean_square(do: Do, v: Array, g: Array, scratch: Array, keep: Array, take: Array) -> None:
    """v ← keep v + take ∇²."""
    do(np.multiply, v, keep, v)
    do(np.multiply, g, g, scratch)
    do(np.multiply, scratch, take, scratch)
    do(np.add, v, scratch, v)


def _scaled_step(
    do: Do, theta: Array, towards: Array, scratch: Array, alpha: Array, epsilon: Array, v: Array
) -> None:
    """θ ← θ − α towards / (√v + ε)."""
    do(np.sqrt, v, scratch)
    do(np.add, scratch, epsilon, scratch)
    do(np.divide, towards, scratch, scratch)
    do(np.multiply, scratch, alpha, scratch)
    do(np.subtract, theta, scratch, theta)


def rmsprop(
    do: Do,
    theta: Array,
    g: Array,
    scratch: Array,
    alpha: Array,
    rho: Array,
    take: Array,
    epsilon: Array,
    v: Array,
) -> None:
    _mean_square(do, v, g, scratch, rho, take)
    _scaled_step(do, theta, g, scratch, alpha, epsilon, v)


def adam(
    do: Do,
    theta: Array,
    g: Array,
    scratch: Array,
    alpha_t: Array,
    beta1: Array,
    take1: Array,
    beta2: Array,
    take2: Array,
    epsilon_t: Array,
    m: Array,
    v: Array,
) -> None:
    """θ ← θ − α m̂ / (√v̂ + ε), m̂ = m / (1 − β1^t), v̂ = v / (1 − β2^t).

    The corrections are drawn out of the vectors into two numbers, which changes nothing but the rounding:
    θ ← θ − α_t m / (√v + ε_t), with c = √(1 − β2^t), α_t = α c / (1 − β1^t) and ε_t = ε c.
    """
    do(np.multiply, m, beta1, m)
    do(np.multiply, g, take1, scratch)
    do(np.add, m, scratch, m)  # m ← β1 m + (1 − β1) ∇
    _mean_square(do, v, g, scratch, beta2, take2)
    _scaled_step(do, theta, m, scratch, alpha_t, epsilon_t, v)


def _adam_numbers(o: Adam | AdamW, alpha: float, t: int) -> tuple[float, ...]:
    correction = (1 - o.beta2**t) ** 0.5
    alpha_t = alpha * correction / (1 - o.beta1**t)
    return alpha_t, o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2, o.epsilon * correction


class Rule(NamedTuple):
    """An optimizer's step, the names of its state, and its numbers, from itself, α and t = 1, 2, …

    ``counts_steps``: the numbers depend on t.
    """

    step: Callable[..., None]
    state: tuple[str, ...]
    numbers: Callable[[Any, float, int], tuple[float, ...]]
    counts_steps: bool = False


RULES: Mapping[type[Any], Rule] = {
    GradientDescent: Rule(gradient_descent, (), lambda o, alpha, t: (alpha,)),
    Momentum: Rule(momentum, ("momentum_v",), lambda o, alpha, t: (alpha, o.momentum)),
    Nesterov: Rule(nesterov, ("nesterov_v",), lambda o, alpha, t: (alpha, o.momentum)),
    RMSprop: Rule(rmsprop, ("rmsprop_v",), lambda o, alpha, t: (alpha, o.rho, 1 - o.rho, o.epsilon)),
    Adam: Rule(adam, ("adam_m", "adam_v"), _adam_numbers, counts_steps=True),
    AdamW: Rule(adam, ("adam_m", "adam_v"), _adam_numbers, counts_steps=True),
}


@dataclass
class OptimizerState:
    """t, the number of steps done, and by name what the optimizer remembers of them."""

    t: int
    arrays: dict[str, Parameters]

    def copy(self) -> "OptimizerState":
        return OptimizerState(self.t, {name: array.copy() for name, array in self.arrays.items()})

    def flush(self) -> None:
        """Take what is smaller than any normal number for 0.

        The memory of a unit that no example moves any more decays to there and stays: processors take many
        times as long for such numbers, and no parameter of a size that matters can tell them from 0.
        """
        for array in self.arrays.values():
            least = np.finfo(array.flat.dtype).smallest_normal
            for start in range(0, len(array.flat), SPAN):
                span = array.flat[start : start + SPAN]
                np.copyto(span, 0, where=np.abs(span) < least)


def start(optimizer: FirstOrder, parameters: Parameters) -> OptimizerState:
    """The state before the first step: t = 0 and zeros."""
    names = RULES[type(optimizer)].state
    zeros = (Parameters.zeros(parameters.architecture, parameters.flat.dtype) for _ in names)
    return OptimizerState(0, dict(zip(names, zeros, strict=True)))
