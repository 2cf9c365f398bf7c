"""What ``train`` yields: Progress from inside an epoch, Epoch at its end, Finished at last; and Diverged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.engine.network import Parameters
from app.engine.snapshot import Snapshot

StopReason = Literal["epochs_completed", "early_stopping", "time_budget", "converged"]


class Progress(NamedTuple):
    """``step`` of ``steps`` of the running epoch (1, 2, …) are done.

    ``cost`` and ``data_cost`` are as in Epoch, over the examples seen so far; ``seconds`` counts the epoch's.

    ``snapshot()`` copies the state of the run. Call it before the generator is advanced; after that it raises
    RuntimeError. Not calling it costs nothing.
    """

    epoch: int
    step: int
    steps: int
    cost: float
    data_cost: float
    seconds: float
    snapshot: Callable[[], Snapshot]


class Epoch(NamedTuple):
    """A row of history: one epoch's numbers.

    ``cost``: J of (6), decay included, as the minibatches saw it before their updates, averaged over the
    examples; in full batch exactly J(W, b) at the start of the epoch; None if the run diverged in it.
    ``data_cost``: its first term. ``validation_cost``: the first term on the validation split, at the end of
    the epoch. ``metrics``: "accuracy" or "r2", seen as cost is, and "validation_accuracy" or "validation_r2".
    ``learning_rate``: α of its steps; of L-BFGS, the length that its line search took. ``gradient_norm``: the
    Euclidean norm of ∇J, (9) and (10) together, of the epoch's last step, before it is clipped. ``seconds``:
    time spent computing, the caller's own time between two reports left out. ``snapshot()``: as in Progress.
    """

    epoch: int
    cost: float | None
    data_cost: float | None
    validation_cost: float | None
    metrics: dict[str, float]
    learning_rate: float
    gradient_norm: float | None
    seconds: float
    diverged: bool
    snapshot: Callable[[], Snapshot]


@dataclass(frozen=True)
class Finished:
    """The end of a run.

    ``cost`` is J of (6) at ``parameters`` over the training data, ``data_cost`` its first term, and
    ``validation_cost`` the first term on the validation split. ``best_epoch`` is None without early stopping.
    ``converged``: L-BFGS met its tolerance, or can find no lower cost. ``snapshot()``: the state that the run
    ended in, which is not that of ``parameters`` where those are an earlier epoch's; as in Progress.
    """

    stop_reason: StopReason
    best_epoch: int | None
    parameters: Parameters
    cost: float
    data_cost: float
    validation_cost: float | None
    snapshot: Callable[[], Snapshot]


class Diverged(Exception):
    """A cost or a parameter is not finite. ``row`` is the epoch's row of history; its cost is None."""

    def __init__(self, row: Epoch) -> None:
        self.row, self.epoch = row, row.epoch
        super().__init__(f"the cost of epoch {row.epoch} is not finite")
