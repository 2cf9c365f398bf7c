"""A piece of several minibatches: gathered together, and the step of each taped."""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from app.engine.backprop import (
    Room,
    bias_gradient,
    layer_backward,
    layer_forward,
    output_delta,
    weight_gradient,
)
from app.engine.leaves import GRAIN, Stage, parts
from app.engine.measures import Sums
from app.engine.memory import Array, total
from app.engine.minibatches import Piece
from app.engine.tape import Tape, play
from app.engine.terrain import Tally, Terrain

Costs = NDArray[np.float64]


class Stacked:
    """Room and tapes for pieces with the rows of the given one and as many steps, or fewer.

    ``final``: the number of steps of the epoch's last piece, if it is one of these. ``epochs`` of a full
    batch are gone through at once (`bursts`); each has a tape of its own, and the place for its outputs.
    """

    def __init__(self, terrain: Terrain, piece: Piece, final: int | None, epochs: int = 1) -> None:
        self.terrain, self.rows, self.repeats = terrain, piece.rows, epochs > 1
        network, dtype, zeros = terrain.network, terrain.x.dtype, terrain.zeros
        rows, steps, s_1, s_n = piece.rows, piece.steps, network.s[1], network.s[network.n]
        self.room = Room.of(network, rows, dtype, zeros=zeros)
        self.x = zeros(steps * rows * s_1, dtype).reshape(steps * rows, s_1)
        self.y_rows = np.zeros((steps * rows, s_n), dtype)
        self.y = zeros(steps * s_n * rows, dtype).reshape(steps, s_n, rows)
        self.outputs = zeros(epochs * steps * s_n * rows, dtype).reshape(epochs * steps, s_n, rows)
        self.v = np.ones((steps, rows))
        self.share = zeros(steps * rows, dtype).reshape(steps, 1, rows)
        self.equal_share = np.full((), 1 / rows, dtype)
        self.loaded: Piece | None = None
        count = range(terrain.lanes.count)
        self.tapes: list[list[Tape]] = [[] for _ in count]
        for step in range(epochs * steps):
            for lane, tape in zip(count, self.record(step, last=self.repeats), strict=True):
                self.tapes[lane].append(tape)
        self.final = [] if final is None or self.repeats else self.record(final - 1, last=True)

    def record(self, step: int, *, last: bool) -> list[Tape]:
        terrain, rows = self.terrain, self.rows
        place = 0 if self.repeats else step
        room = self.room.holding(self.x[place * rows : (place + 1) * rows].T, self.outputs[step])
        share = self.equal_share if terrain.weights is None else self.share[place]
        direct = terrain.update.direct(last)
        stages = self._stages(room, self.y[place], share, step, direct)
        update = terrain.update.stages([terrain.gradient], step, last, burst=self.repeats, room=room)
        return terrain.tape([*stages, *update])

    def _stages(self, room: Room, y: Array, share: Array, step: int, direct: list[int]) -> list[Stage]:
        """Forward, backward and the gradient (10), but for ``direct`` layers, cut into leaves."""
        terrain, leaves = self.terrain, self.terrain.plan.leaves
        network, theta, nabla = terrain.network, terrain.parameters, terrain.gradient
        n, s, m = network.n, network.s, self.rows
        stages: list[Stage] = []

        def stage() -> Stage:
            stages.append([Tape() for _ in range(leaves)])
            return stages[-1]

        for l in range(1, n - 1):
            tapes = stage()
            for q, i in parts(s[l + 1], m * s[l] * s[l + 1], leaves):
                if l + 1 in room.mask:
                    tapes[q](terrain.masks.draw, room.mask[l + 1][i], l + 1, q, step)
                layer_forward(network, theta, room, l, tapes[q], i=i)
        tapes = stage()
        for q, k in parts(m, m * s[n - 1] * s[n], leaves):
            layer_forward(network, theta, room, n - 1, tapes[q], k=k)
            output_delta(network, terrain.cost, room, y, share, tapes[q], k)
        for l in range(n - 1, 1, -1):
            tapes = stage()
            for q, i in parts(s[l], m * s[l] * s[l + 1], leaves):
                layer_backward(network, theta, room, l, tapes[q], i=i)
        tapes = stage()
        for l in range(1, n):
            bias_gradient(room, nabla, l, tapes[(l - 1) % leaves])
            if l not in direct and s[l + 1] >= GRAIN * leaves:
                for q, i in parts(s[l + 1], m * s[l] * s[l + 1], leaves):
                    weight_gradient(room, nabla, l, tapes[q], i=i)
            elif l not in direct:  # a layer so narrow that its neurons are too few to share
                for q, j in parts(s[l], m * s[l] * s[l + 1], leaves):
                    weight_gradient(room, nabla, l, tapes[q], j=j)
        return stages

    def work(self, lane: int, piece: Piece) -> None:
        """A lane's part of the piece: gather, then every step."""
        self.load(piece, lane)
        tapes = self.tapes[lane][: piece.steps]
        if piece.last:
            tapes[-1] = self.final[lane]
        play(chain.from_iterable(tapes))

    def load(self, piece: Piece, lane: int = 0) -> None:
        """A lane's part of gathering the examples, if they are not there."""
        if self.terrain.order is not None or self.loaded is not piece:
            self.loaded = piece
            self._gather(lane, piece)

    def _gather(self, lane: int, piece: Piece) -> None:
        terrain, count = self.terrain, self.terrain.lanes.count
        size = piece.rows * piece.steps
        low, high = lane * size // count, (lane + 1) * size // count
        x = terrain.take(terrain.x, piece.first + low, high - low, self.x[low:high])
        if terrain.order is None:
            np.copyto(self.x[low:high], x)
        if lane == 0:
            y = terrain.take(terrain.y, piece.first, size, self.y_rows)
            np.copyto(self.y[: piece.steps], y.reshape(piece.steps, piece.rows, -1).transpose(0, 2, 1))
            if terrain.weights is not None:
                self._weigh(terrain.take(terrain.weights, piece.first, size, np.empty(size)), piece)
        if count > 1:
            terrain.lanes.barrier()

    def _weigh(self, weights: Array, piece: Piece) -> None:
        v = self.v[: piece.steps]
        np.copyto(v, weights.reshape(v.shape))
        mass = v.sum(axis=1, keepdims=True)
        np.copyto(self.share[: piece.steps, 0], np.divide(v, mass, out=np.zeros_like(v), where=mass > 0))

    def tally(self, piece: Piece) -> Tally:
        terrain, steps = self.terrain, piece.steps
        y, outputs, squares = self.y[:steps], self.outputs[:steps], terrain.update.squares[:steps]
        lambda_ = terrain.plan.lambda_
        metric = None if terrain.measure is None else terrain.measure.sums(outputs, y)
        if terrain.weights is None:
            decay = 0.5 * lambda_ * total(squares) * self.rows if lambda_ else 0.0
            return Tally(terrain.cost.total(outputs, y), steps * self.rows, decay, metric)
        v = self.v[:steps]
        masses = np.add.reduce(v, 1)
        decay = 0.5 * lambda_ * float(np.add.reduce(squares, 1, np.float64) @ masses)
        return Tally(terrain.cost.total(outputs, y, v), float(masses.sum()), decay, metric)

    def tallies(self, count: int) -> tuple[Costs, Costs, Sums]:
        """Of ``count`` epochs of a burst: both terms of (6), and the metric's sums (count, …).

        Each epoch's are added up by themselves: how many there are changes no bit.
        """
        terrain, y = self.terrain, self.y[0]
        examples = terrain.cost.examples(self.outputs[:count], y)
        mass = float(self.rows)
        if terrain.weights is not None:
            examples, mass = examples * self.v[0], float(self.v[0].sum())
        data_cost = np.add.reduce(examples, 1) / (mass or 1.0)
        squares = np.add.reduce(terrain.update.squares[:count], 1, np.float64)
        measure = terrain.measure
        metric = [] if measure is None else [measure.sums(a, y) for a in self.outputs[:count]]
        return data_cost, 0.5 * terrain.plan.lambda_ * squares, np.array(metric)
