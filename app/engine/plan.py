"""What to train, and on what."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.engine.memory import Array
from app.engine.network import Architecture
from app.engine.optimizers import Optimizer
from app.engine.schedules import Constant, Schedule


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when ``monitor`` has not fallen by more than min_delta below its best for ``patience`` epochs.

    The first start_from_epoch epochs are not looked at. "cost" is J as the epoch's minibatches saw it, before
    their updates; "validation_cost" is taken after them. Either way the parameters at the epoch's end count
    as the epoch's own.
    """

    monitor: Literal["validation_cost", "cost"] = "validation_cost"
    min_delta: float = 0.0
    patience: int = 20
    restore_best_weights: bool = True
    start_from_epoch: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result, beside the data and the starting point.

    ``batch_size`` ≥ m means full batch: the paper's (6)-(8). ``lambda_`` is λ of (6). ``clip_norm``: the most
    that ‖∇J‖ of a step may be, decay included; a longer one is scaled down to it. ``time_budget``: seconds of
    training after which no step is begun. ``leaves``: the parts that a step is cut into (`leaves_for`); they
    decide the last bits. ``progress_seconds`` decides only how often ``train`` reports from inside an epoch.
    """

    architecture: Architecture
    cost: str
    optimizer: Optimizer
    batch_size: int
    epochs: int
    lambda_: float = 0.0
    seed: int = 0
    shuffle: bool = True
    dtype: Literal["float32", "float64"] = "float32"
    early_stopping: EarlyStopping | None = None
    metric: Literal["accuracy", "r2"] | None = None
    schedule: Schedule = field(default_factory=Constant)
    clip_norm: float | None = None
    time_budget: float | None = None
    leaves: int = 1
    progress_seconds: float = 0.25


@dataclass(frozen=True)
class Data:
    """Examples as rows, C order, in the plan's dtype (others are converted): x (m, s_1), y (m, s_n).

    ``weights`` (m,), none below 0, are v_k: (1/m) Σ_k of (6), (9) and (10) becomes Σ_k v_k … / Σ_k v_k, over
    the minibatch in a step and over the epoch in its row. Metrics do not know them.
    """

    x: Array
    y: Array
    validation_x: Array | None = None
    validation_y: Array | None = None
    weights: NDArray[np.floating[Any]] | None = None
    validation_weights: NDArray[np.floating[Any]] | None = None
