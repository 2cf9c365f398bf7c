"""A piece that is one large minibatch: its leaves take their examples through the network block by block."""

import numpy as np

from app.engine import leaves
from app.engine.backprop import (
    Room,
    bias_gradient,
    layer_backward,
    layer_forward,
    output_delta,
    weight_gradient,
)
from app.engine.memory import Array, total
from app.engine.minibatches import Piece
from app.engine.network import Parameters
from app.engine.tape import play
from app.engine.terrain import Tally, Terrain


class Blocked:
    """Room for minibatches of as many rows as the given one; ``final``: one of them is the epoch's last."""

    def __init__(self, terrain: Terrain, piece: Piece, final: bool) -> None:
        self.terrain = terrain
        network, dtype, zeros = terrain.network, terrain.x.dtype, terrain.zeros
        s_1, s_n = network.s[1], network.s[network.n]
        starts = range(0, piece.rows, leaves.BLOCK_ROWS)
        self.blocks = [(start, min(leaves.BLOCK_ROWS, piece.rows - start)) for start in starts]
        self.own = [
            range(part.start, part.stop) for part in leaves.cut(len(self.blocks), terrain.plan.leaves, 1)
        ]
        self.rooms = {rows: Room.of(network, rows, dtype) for _, rows in self.blocks}
        self.gradients = [terrain.gradient, *(Parameters(network, dtype, zeros) for _ in self.own[1:])]
        self.part = Parameters.zeros(network, dtype)
        self.x, self.y = np.zeros((leaves.BLOCK_ROWS, s_1), dtype), np.zeros((leaves.BLOCK_ROWS, s_n), dtype)
        self.costs = zeros(len(self.blocks), np.dtype(np.float64))
        width = 0 if terrain.measure is None else terrain.measure.width
        self.metrics = zeros(len(self.blocks) * width, np.dtype(np.float64)).reshape(len(self.blocks), width)
        self.mass = float(piece.rows)
        self.update = [
            terrain.tape(terrain.update.stages(self.gradients, 0, last)) for last in (False, final)
        ]

    def work(self, lane: int, piece: Piece) -> None:
        """A lane's leaves of the piece, then its part of the update."""
        terrain, count = self.terrain, self.terrain.lanes.count
        if terrain.weights is not None:
            rows = terrain.take(terrain.weights, piece.first, piece.rows, np.empty(piece.rows))
            self.mass = float(rows.sum())
        for q in range(lane, len(self.own), count):
            self._leaf(q, piece)
        if count > 1:
            terrain.lanes.barrier()
        play(self.update[piece.last][lane])

    def _leaf(self, q: int, piece: Piece) -> None:
        gradient = self.gradients[q]
        if not self.own[q]:
            gradient.flat.fill(0.0)
        for number in self.own[q]:
            first = number == self.own[q][0]
            self._block(number, piece, gradient if first else self.part)
            if not first:
                np.add(gradient.flat, self.part.flat, gradient.flat)

    def _block(self, number: int, piece: Piece, into: Parameters) -> None:
        terrain, (start, rows) = self.terrain, self.blocks[number]
        network, theta = terrain.network, terrain.parameters
        n, first = network.n, piece.first + start
        y = terrain.take(terrain.y, first, rows, self.y).T
        room = self.rooms[rows].holding(terrain.take(terrain.x, first, rows, self.x).T)
        v, scale = None, 1 / self.mass if self.mass else 0.0
        share: Array = np.full((1, 1), scale, y.dtype)
        if terrain.weights is not None:
            v = terrain.take(terrain.weights, first, rows, np.empty(rows))
            share = (v * scale).astype(y.dtype).reshape(1, rows)
        for l in room.mask:
            terrain.masks.draw(room.mask[l], l, number)
        for l in range(1, n):
            layer_forward(network, theta, room, l)
        output_delta(network, terrain.cost, room, y, share)
        for l in range(n - 1, 1, -1):
            layer_backward(network, theta, room, l)
        for l in range(1, n):
            weight_gradient(room, into, l)
            bias_gradient(room, into, l)
        self.costs[number] = terrain.cost.total(room.a[n], y, v)
        if terrain.measure is not None:
            self.metrics[number] = terrain.measure.sums(room.a[n], y)

    def tally(self, piece: Piece) -> Tally:
        terrain = self.terrain
        decay = 0.5 * terrain.plan.lambda_ * total(terrain.update.squares[0]) * self.mass
        metric = None if terrain.measure is None else self.metrics.sum(axis=0)
        return Tally(float(self.costs.sum()), self.mass, decay, metric)
