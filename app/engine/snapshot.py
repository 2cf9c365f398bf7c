"""Everything needed to go on with a training run, also from inside an epoch, to the same bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.engine import optimizers
from app.engine.early_stopping import Best
from app.engine.network import Parameters, ShapeMismatch, initialise
from app.engine.optimizers import OptimizerState
from app.engine.plan import Plan

Scalar = int | float | bool | str | None


@dataclass
class Sums:
    """What the running epoch has added up, over the examples seen so far.

    ``data_cost``: Σ_k J_k. ``decay``: Σ_k of (λ/2) ΣW² as example k's minibatch saw it. ``metric``: what
    the metric's Measure has summed, empty without one. ``seconds``: time spent.
    """

    data_cost: float
    decay: float
    metric: NDArray[np.float64]
    seconds: float

    @classmethod
    def zero(cls, plan: Plan) -> Self:
        width = {None: 0, "accuracy": 1, "r2": plan.architecture.s[plan.architecture.n]}[plan.metric]
        return cls(0.0, 0.0, np.zeros(width), 0.0)

    def clear(self) -> None:
        self.data_cost = self.decay = self.seconds = 0.0
        self.metric.fill(0.0)

    def copy(self) -> "Sums":
        return Sums(self.data_cost, self.decay, self.metric.copy(), self.seconds)


@dataclass(frozen=True)
class Snapshot:
    """``epoch`` epochs are complete, and ``step`` steps of the next one. Never write in its arrays."""

    seed: int
    epoch: int
    step: int
    sums: Sums
    parameters: Parameters
    optimizer_state: OptimizerState
    best: Best

    @classmethod
    def start(cls, plan: Plan, parameters: Parameters | None = None) -> Self:
        """Before the first step: from the given parameters, or from those that the plan's seed draws."""
        if parameters is None:
            parameters = initialise(plan.architecture, plan.seed, plan.dtype)
        else:
            parameters = parameters.astype(plan.dtype)
        state = optimizers.start(plan.optimizer, parameters)
        return cls(plan.seed, 0, 0, Sums.zero(plan), parameters, state, Best())

    def to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Scalar]]:
        """Arrays by name ("W1", "b1", "adam_m.W1", "best.W1", "metric") and JSON scalars, exactly.

        The arrays are views: write them out before the snapshot goes.
        """
        groups = {"": self.parameters} | {f"{k}.": v for k, v in self.optimizer_state.arrays.items()}
        if self.best.parameters is not None:
            groups["best."] = self.best.parameters
        arrays: dict[str, NDArray[Any]] = {
            prefix + name: array for prefix, group in groups.items() for name, array in group.named()
        }
        arrays["metric"] = self.sums.metric
        scalars: dict[str, Scalar] = {
            "seed": self.seed,
            "epoch": self.epoch,
            "step": self.step,
            "data_cost": self.sums.data_cost,
            "decay": self.sums.decay,
            "seconds": self.sums.seconds,
            "optimizer_steps": self.optimizer_state.t,
            "best_value": self.best.value,
            "best_epoch": self.best.epoch,
            "wait": self.best.wait,
        }
        return arrays, scalars

    @classmethod
    def from_parts(cls, plan: Plan, arrays: Mapping[str, NDArray[Any]], scalars: Mapping[str, Any]) -> Self:
        """The snapshot that ``to_parts`` took apart. Raises KeyError or ShapeMismatch if parts do not fit."""
        names = optimizers.start(plan.optimizer, Parameters.zeros(plan.architecture, plan.dtype)).arrays
        state = {name: _gathered(plan, arrays, f"{name}.") for name in names}
        kept = _gathered(plan, arrays, "best.") if "best.W1" in arrays else None
        metric = np.array(arrays["metric"], np.float64)
        return cls(
            seed=scalars["seed"],
            epoch=scalars["epoch"],
            step=scalars["step"],
            sums=Sums(scalars["data_cost"], scalars["decay"], metric, scalars["seconds"]),
            parameters=_gathered(plan, arrays, ""),
            optimizer_state=OptimizerState(scalars["optimizer_steps"], state),
            best=Best(scalars["best_value"], scalars["best_epoch"], scalars["wait"], kept),
        )


def _gathered(plan: Plan, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Parameters:
    parameters = Parameters.zeros(plan.architecture, plan.dtype)
    for name, array in parameters.named():
        part = arrays[prefix + name]
        if part.shape != array.shape:
            raise ShapeMismatch(prefix + name, array.shape, part.shape)
        array[...] = part
    return parameters
