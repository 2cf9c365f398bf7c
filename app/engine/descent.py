"""The way down: parameters, gradient and optimizer, and the training examples they meet piece by piece."""

import numpy as np

from app.engine.backprop import backward, forward, summed_gradient
from app.engine.costs import COSTS
from app.engine.measures import Measure
from app.engine.minibatches import Order, Piece, Stack, pieces
from app.engine.network import Array, Parameters
from app.engine.optimizers import Update
from app.engine.plan import Plan
from app.engine.snapshot import Snapshot, Sums


class Descent:
    """x is (m, s_1), y (m, s_n), both C-ordered and in the plan's dtype."""

    def __init__(self, snapshot: Snapshot, x: Array, y: Array, plan: Plan) -> None:
        self.architecture, self.x, self.y, self.lambda_ = plan.architecture, x, y, plan.lambda_
        self.cost = COSTS[plan.cost][plan.architecture.layers[-1].activation]
        self.measure = None if plan.metric is None else Measure(plan.metric, y)
        self.pieces = pieces(plan.architecture, len(x), plan.batch_size)
        self.stacks: dict[tuple[int, int], Stack] = {}
        for piece in self.pieces:  # of a kind, the first has the most blocks
            if piece.kind not in self.stacks:
                self.stacks[piece.kind] = Stack(plan.architecture, piece, x.dtype)
        self.piece: Piece | None = None
        self.parameters = snapshot.parameters.copy()
        self.optimizer_state = snapshot.optimizer_state.copy()
        self.gradient = Parameters.zeros(plan.architecture, plan.dtype)
        self.part = (
            self.gradient if len(self.pieces) == 1 else Parameters.zeros(plan.architecture, plan.dtype)
        )
        self.update = Update(
            plan.optimizer, self.parameters, self.gradient, self.optimizer_state, plan.lambda_
        )

    def run(self, piece: Piece, order: Order | None, alpha: float, sums: Sums) -> None:
        """Train on the piece's examples and add to ``sums`` what they cost before their updates."""
        architecture, parameters, cost = self.architecture, self.parameters, self.cost
        if order is not None or piece is not self.piece:
            self.piece, self.stack = piece, self.stacks[piece.kind]
            self.loaded = self.stack.load(piece, self.x, self.y, order)
        buffers, share = self.stack.buffers, self.stack.share
        z, a, n = buffers.z, buffers.a, architecture.n
        apart = z[n] is not a[n]
        into = self.gradient if piece.starts else self.part
        for x, y, output in self.loaded.blocks:
            a[n] = output
            if not apart:
                z[n] = output
            forward(architecture, parameters, x, buffers)
            delta = backward(architecture, parameters, cost, z, a, y, share, buffers)
            summed_gradient(architecture, a, delta, buffers.ones, into)
            if not piece.starts:
                np.add(self.gradient.flat, into.flat, out=self.gradient.flat)
            if piece.ends:
                squares = self.update(alpha)
                sums.decay += 0.5 * self.lambda_ * squares * piece.batch
        sums.data_cost += cost.total(self.loaded.outputs, self.loaded.y)
        if self.measure is not None:
            sums.metric += self.measure.sums(self.loaded.outputs, self.loaded.y)
