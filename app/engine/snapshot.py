"""Everything needed to go on with a training run, also from inside an epoch, to the same bits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.engine import lbfgs, optimizers
from app.engine.early_stopping import Best
from app.engine.lbfgs import LBFGS, LBFGSState
from app.engine.network import Parameters, ShapeMismatch, initialise
from app.engine.optimizers import OptimizerState
from app.engine.plan import Plan
from app.engine.schedules import PlateauState
from app.engine.terrain import Tally

Scalar = int | float | bool | str | None
State = OptimizerState | LBFGSState
Point = tuple[Parameters, State]


@dataclass
class Sums:
    """What the running epoch has added up, over the examples seen so far.

    ``data_cost``: Σ_k v_k J_k. ``mass``: Σ_k v_k, which is their number without weights. ``decay``: Σ_k of
    v_k (λ/2) ΣW² as example k's minibatch saw it. ``metric``: what the metric's Measure has summed, empty
    without one. ``seconds``: time spent.
    """

    data_cost: float
    mass: float
    decay: float
    metric: NDArray[np.float64]
    seconds: float

    @classmethod
    def zero(cls, plan: Plan) -> Self:
        width = {None: 0, "accuracy": 1, "r2": plan.architecture.s[plan.architecture.n]}[plan.metric]
        return cls(0.0, 0.0, 0.0, np.zeros(width), 0.0)

    def add(self, tally: Tally) -> None:
        self.data_cost += tally.data_cost
        self.mass += tally.mass
        self.decay += tally.decay
        if tally.metric is not None:
            self.metric += tally.metric

    def clear(self) -> None:
        self.data_cost = self.mass = self.decay = self.seconds = 0.0
        self.metric.fill(0.0)

    def copy(self) -> "Sums":
        return Sums(self.data_cost, self.mass, self.decay, self.metric.copy(), self.seconds)


@dataclass(frozen=True)
class Snapshot:
    """``epoch`` epochs are complete, and ``step`` steps of the next one; they took ``elapsed`` seconds
    without those of the running epoch. ``converged``: no epoch is to follow. Never write in its arrays.
    """

    seed: int
    epoch: int
    step: int
    sums: Sums
    parameters: Parameters
    optimizer_state: State
    best: Best
    plateau: PlateauState = field(default_factory=PlateauState)
    elapsed: float = 0.0
    converged: bool = False

    @classmethod
    def start(cls, plan: Plan, parameters: Parameters | None = None) -> Self:
        """Before the first step: from the given parameters, or from those that the plan's seed draws."""
        if parameters is None:
            parameters = initialise(plan.architecture, plan.seed, plan.dtype)
        else:
            parameters = parameters.astype(plan.dtype)
        return cls(plan.seed, 0, 0, Sums.zero(plan), parameters, _first_state(plan, parameters), Best())

    def to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Scalar]]:
        """Arrays by name ("W1", "b1", "adam_m.W1", "lbfgs.s", "best.W1", "metric") and JSON scalars, exactly.

        The arrays are views: write them out before the snapshot goes.
        """
        state, groups = self.optimizer_state, {"": self.parameters}
        arrays: dict[str, NDArray[Any]] = {"metric": self.sums.metric}
        scalars: dict[str, Scalar] = {
            "seed": self.seed,
            "epoch": self.epoch,
            "step": self.step,
            "data_cost": self.sums.data_cost,
            "mass": self.sums.mass,
            "decay": self.sums.decay,
            "seconds": self.sums.seconds,
            "best_value": self.best.value,
            "best_epoch": self.best.epoch,
            "wait": self.best.wait,
            "plateau_best": self.plateau.best,
            "plateau_wait": self.plateau.wait,
            "plateau_reductions": self.plateau.reductions,
            "elapsed": self.elapsed,
            "converged": self.converged,
        }
        if isinstance(state, OptimizerState):
            scalars["optimizer_steps"] = state.t
            groups |= {f"{name}.": each for name, each in state.arrays.items()}
        else:
            scalars |= {f"lbfgs.{name}": value for name, value in state.scalars.items()}
            arrays |= {f"lbfgs.{name}": array for name, array in state.arrays.items()}
        if self.best.parameters is not None:
            groups["best."] = self.best.parameters
        arrays |= {prefix + name: array for prefix, group in groups.items() for name, array in group.named()}
        return arrays, scalars

    @classmethod
    def from_parts(cls, plan: Plan, arrays: Mapping[str, NDArray[Any]], scalars: Mapping[str, Any]) -> Self:
        """The snapshot that ``to_parts`` took apart. Raises KeyError or ShapeMismatch if parts do not fit."""
        parameters = _gathered(plan, arrays, "")
        state = _first_state(plan, parameters)
        if isinstance(state, OptimizerState):
            state.t = scalars["optimizer_steps"]
            state.arrays = {name: _gathered(plan, arrays, f"{name}.") for name in state.arrays}
        else:
            state.scalars = {name: scalars[f"lbfgs.{name}"] for name in state.scalars}
            for name, array in state.arrays.items():
                array[...] = _fitting(f"lbfgs.{name}", arrays, array.shape)
        return cls(
            seed=scalars["seed"],
            epoch=scalars["epoch"],
            step=scalars["step"],
            sums=Sums(
                scalars["data_cost"],
                scalars["mass"],
                scalars["decay"],
                np.array(arrays["metric"], np.float64),
                scalars["seconds"],
            ),
            parameters=parameters,
            optimizer_state=state,
            best=Best(
                scalars["best_value"],
                scalars["best_epoch"],
                scalars["wait"],
                _gathered(plan, arrays, "best.") if "best.W1" in arrays else None,
            ),
            plateau=PlateauState(*(scalars[f"plateau_{name}"] for name in PlateauState._fields)),
            elapsed=scalars["elapsed"],
            converged=scalars["converged"],
        )


def _first_state(plan: Plan, parameters: Parameters) -> State:
    if isinstance(plan.optimizer, LBFGS):
        return lbfgs.start(plan.optimizer, parameters.flat)
    return optimizers.start(plan.optimizer, parameters)


def _gathered(plan: Plan, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Parameters:
    parameters = Parameters.zeros(plan.architecture, plan.dtype)
    for name, array in parameters.named():
        array[...] = _fitting(prefix + name, arrays, array.shape)
    return parameters


def _fitting(name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    if arrays[name].shape != shape:
        raise ShapeMismatch(name, shape, arrays[name].shape)
    return arrays[name]
