"""The learning rate α as a function of the epoch.

A schedule is a frozen record. Its first ``warmup_epochs`` epochs climb to the base rate in equal steps; the
schedule's own law begins after them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Constant:
    warmup_epochs: int = 0


@dataclass(frozen=True)
class Step:
    """Multiply by ``factor`` after every ``every`` epochs, which are 1 or more."""

    every: int
    factor: float = 0.1
    warmup_epochs: int = 0


@dataclass(frozen=True)
class Exponential:
    """Multiply by ``factor``, at most 1, after every epoch."""

    factor: float
    warmup_epochs: int = 0


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the base rate to ``final_learning_rate``, which the last epoch has exactly.

    Loshchilov & Hutter 2017, equation (5), without restarts.
    """

    final_learning_rate: float = 0.0
    warmup_epochs: int = 0


@dataclass(frozen=True)
class Plateau:
    """Multiply by ``factor`` when the monitored value has not fallen for ``patience`` epochs.

    Keras' ReduceLROnPlateau with mode "min", min_delta 0, cooldown 0 and min_lr 0; as there, a patience of 0
    is one of 1. PyTorch's differs twice. A fall counts there only if it is more than 1e-4 of the best value
    (``threshold``), here every fall does; and it reduces after patience + 1 epochs without one, so a
    patience of p here is p − 1 there. It also leaves out a reduction of less than 1e-8 (``eps``).
    """

    factor: float = 0.1
    patience: int = 10
    warmup_epochs: int = 0


Schedule = Constant | Step | Exponential | Cosine | Plateau


class PlateauState(NamedTuple):
    """The least value so far, the epochs since it or since the last reduction, and the reductions made."""

    best: float | None = None
    wait: int = 0
    reductions: int = 0


def observe(plateau: Plateau, state: PlateauState, epoch: int, value: float) -> PlateauState:
    """The state after ``epoch``, 1 for the first, ended with ``value``. The next epoch's rate follows it.

    The epochs of the warm-up are not looked at. NaN and infinity are no fall.
    """
    if epoch <= plateau.warmup_epochs:
        return state
    if value < (math.inf if state.best is None else state.best):
        return PlateauState(value, 0, state.reductions)
    if state.wait + 1 >= plateau.patience:
        return PlateauState(state.best, 0, state.reductions + 1)
    return PlateauState(state.best, state.wait + 1, state.reductions)


def rate(schedule: Schedule, base: float, epoch: int, epochs: int, reductions: int = 0) -> float:
    """α of ``epoch``, 1 … ``epochs``. ``reductions`` is of a Plateau's state before that epoch."""
    if epoch <= schedule.warmup_epochs:
        return base * (epoch / schedule.warmup_epochs)
    t = epoch - 1 - schedule.warmup_epochs
    match schedule:
        case Constant():
            return base
        case Step(every, factor):
            return base * factor ** (t // every)
        case Exponential(factor):
            return base * factor**t
        case Cosine(final):
            T = epochs - 1 - schedule.warmup_epochs
            if T <= 0:
                return base
            return final + (base - final) / 2 * (1 + math.cos(math.pi * (t / T)))
        case Plateau(factor):
            return base * factor**reductions
