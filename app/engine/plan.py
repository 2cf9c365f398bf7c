"""What to train, and on what."""

from dataclasses import dataclass
from typing import Literal

from app.engine.network import Architecture, Array
from app.engine.optimizers import Optimizer


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

    ``batch_size`` ≥ m means full batch: the paper's (6)-(8). ``lambda_`` is λ of (6). ``progress_seconds``
    decides only how often ``train`` reports from inside an epoch.
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
    progress_seconds: float = 0.25


@dataclass(frozen=True)
class Data:
    """Examples as rows, C order, in the plan's dtype (others are converted): x (m, s_1), y (m, s_n)."""

    x: Array
    y: Array
    validation_x: Array | None = None
    validation_y: Array | None = None
