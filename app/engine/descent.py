"""The way down: parameters, gradient and optimizer, the pieces of an epoch, the lanes that compute them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine import leaves
from app.engine.blocked import Blocked
from app.engine.costs import COSTS
from app.engine.dropout import Masks
from app.engine.evaluation import Evaluation
from app.engine.lanes import Lanes
from app.engine.lbfgs import LBFGS
from app.engine.measures import Measure
from app.engine.memory import aligned_zeros, shared_zeros
from app.engine.minibatches import pieces
from app.engine.network import Parameters
from app.engine.optimizers import FLUSH_STEPS, OptimizerState
from app.engine.plan import Data, Plan
from app.engine.schedules import Constant
from app.engine.snapshot import Snapshot
from app.engine.stacked import Stacked
from app.engine.streams import Purpose, Stream
from app.engine.terrain import Tally, Terrain
from app.engine.update import Update

INTEGER = np.dtype(np.int64)

BURST_EPOCHS = FLUSH_STEPS  # a burst ends where the optimizer's memory is looked through, if not before
BURST_WORK = 5 * 10**5
"""Epochs of at most so many multiply-adds, 20 µs or so, are gone through BURST_EPOCHS at once (`bursts`)."""


class Descent:
    """A run's arrays, from a snapshot on. Its lanes are to be forked when all is made; close it after."""

    def __init__(self, snapshot: Snapshot, data: Data, plan: Plan, threads: int) -> None:
        network, dtype = plan.architecture, np.dtype(plan.dtype)
        self.lanes = Lanes(min(threads, plan.leaves), self._work)
        zeros = aligned_zeros if self.lanes.count == 1 else shared_zeros
        x, y = np.ascontiguousarray(data.x, dtype), np.ascontiguousarray(data.y, dtype)
        m = len(x)
        self.pieces = pieces(network, m, plan.batch_size)
        self.parameters = snapshot.parameters.astype(dtype, zeros)
        self.state = snapshot.optimizer_state.copy()
        state = self.state
        if isinstance(state, OptimizerState):
            state.arrays = {name: each.astype(dtype, zeros) for name, each in state.arrays.items()}
        self.gradient = Parameters(network, dtype, zeros)
        self.epochs_at_once = _epochs_at_once(plan, data)
        self.update = Update(
            plan.optimizer,
            plan.lambda_,
            plan.clip_norm,
            self.parameters,
            state if isinstance(state, OptimizerState) else OptimizerState(0, {}),
            leaves.shares_of_parameters(self.parameters, plan.leaves),
            max(piece.steps for piece in self.pieces) * self.epochs_at_once,
            zeros,
        )
        shuffled = plan.shuffle and plan.batch_size < m
        self.shuffles = Stream(plan.seed, Purpose.SHUFFLE)
        self.shuffled_for: int | None = None
        clock: Any = zeros(2, INTEGER)
        order: Any = zeros(m, INTEGER) if shuffled else None
        self.terrain = Terrain(
            plan=plan,
            x=x,
            y=y,
            weights=_weights(data.weights),
            order=order,
            clock=clock,
            parameters=self.parameters,
            gradient=self.gradient,
            cost=COSTS[plan.cost][network.layers[-1].activation],
            measure=None if plan.metric is None else Measure(plan.metric, y),
            update=self.update,
            masks=Masks(plan.seed, network.dropout, clock),
            lanes=self.lanes,
            zeros=zeros,
        )
        self.kinds: dict[int, Stacked | Blocked] = {}
        for piece in self.pieces:  # of a kind, the first has the most steps
            final = self.pieces[-1].steps if self.pieces[-1].rows == piece.rows else None
            if piece.rows in self.kinds:
                continue
            if piece.rows > leaves.PIECE_ROWS:
                self.kinds[piece.rows] = Blocked(self.terrain, piece, final is not None)
            else:
                self.kinds[piece.rows] = Stacked(self.terrain, piece, final, self.epochs_at_once)
        self.training = Evaluation(plan, self.parameters, x, y, self.terrain.weights, self.lanes, zeros)
        self.validation: Evaluation | None = None
        if data.validation_x is not None and data.validation_y is not None:
            self.validation = Evaluation(
                plan,
                self.parameters,
                np.ascontiguousarray(data.validation_x, dtype),
                np.ascontiguousarray(data.validation_y, dtype),
                _weights(data.validation_weights),
                self.lanes,
                zeros,
            )

    def begin(self, epoch: int, alpha: float) -> None:
        """Get ready for steps of an epoch (1, 2, …) at a learning rate."""
        terrain = self.terrain
        terrain.clock[0] = epoch
        if terrain.order is not None and self.shuffled_for != epoch:
            terrain.order[...] = self.shuffles.at(epoch).permutation(len(terrain.x))
            self.shuffled_for = epoch
        self.update.set_rate(alpha)

    def run(self, number: int) -> Tally:
        """Train on piece ``number`` of the epoch (0, 1, …). What its examples cost before their updates."""
        piece = self.pieces[number]
        self.terrain.clock[1] = piece.before
        self.lanes.run(number)
        self.update.steps_done(piece.steps)
        return self.kinds[piece.rows].tally(piece)

    def evaluate(self, evaluation: Evaluation) -> tuple[float, float | None]:
        """The first term of (6) at the parameters, and the metric."""
        self.lanes.run(len(self.pieces) + (evaluation is self.training))
        return evaluation.result()

    def _work(self, lane: int, task: int) -> None:
        if task < len(self.pieces):
            piece = self.pieces[task]
            self.kinds[piece.rows].work(lane, piece)
        elif task == len(self.pieces) and self.validation is not None:
            self.validation.work(lane)
        else:
            self.training.work(lane)

    def close(self) -> None:
        self.lanes.close()


def _epochs_at_once(plan: Plan, data: Data) -> int:
    """1 where something must be looked at after each epoch, or where epochs are long enough not to matter."""
    m = len(data.x)
    watched = plan.early_stopping is not None or data.validation_x is not None
    same = plan.schedule == Constant() and not isinstance(plan.optimizer, LBFGS)
    same = same and plan.batch_size >= m and not any(plan.architecture.dropout.values())
    alone = plan.leaves == 1  # a burst is played by one lane
    short = m <= leaves.PIECE_ROWS and leaves.multiply_adds(plan.architecture, m) <= BURST_WORK
    return BURST_EPOCHS if same and alone and short and not watched else 1


def _weights(weights: NDArray[np.floating[Any]] | None) -> NDArray[np.float64] | None:
    return None if weights is None else np.ascontiguousarray(weights, np.float64)
