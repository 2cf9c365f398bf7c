"""The cost and the metric of the parameters over a set of examples, without training on them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine import leaves
from app.engine.backprop import Room, layer_forward
from app.engine.costs import COSTS
from app.engine.lanes import Lanes
from app.engine.measures import Measure
from app.engine.memory import Array, Zeros, total
from app.engine.network import Parameters
from app.engine.plan import Plan
from app.engine.tape import Tape, play


class Block(NamedTuple):
    """Examples that go through the network together: their outputs a and targets y (s_n, rows)."""

    tape: Tape
    a: Array
    y: Array
    v: Array | None


class Evaluation:
    """Examples as rows x (m, s_1), y (m, s_n), laid out once to be evaluated after each epoch, at the
    ``parameters`` as they are then. Up to PIECE_ROWS go through the network at once, more go BLOCK_ROWS at a
    time.
    """

    def __init__(
        self,
        plan: Plan,
        parameters: Parameters,
        x: Array,
        y: Array,
        weights: NDArray[np.float64] | None,
        lanes: Lanes,
        zeros: Zeros,
    ) -> None:
        network, m = plan.architecture, len(x)
        self.lanes = lanes
        self.cost = COSTS[plan.cost][network.layers[-1].activation]
        self.measure = None if plan.metric is None else Measure(plan.metric, y)
        self.mass = float(m if weights is None else weights.sum())
        size = m if m <= leaves.PIECE_ROWS else leaves.BLOCK_ROWS
        cuts = [slice(first, min(first + size, m)) for first in range(0, m, size)]
        rooms = {rows: Room.of(network, rows, x.dtype) for rows in {cut.stop - cut.start for cut in cuts}}
        self.blocks = []
        for cut in cuts:
            room = rooms[cut.stop - cut.start].holding(x[cut].T)._replace(mask={})
            tape = Tape()
            for l in range(1, network.n):
                layer_forward(network, parameters, room, l, tape)
            v = None if weights is None else weights[cut]
            self.blocks.append(Block(tape, room.a[network.n], y[cut].T, v))
        self.costs = zeros(len(cuts), np.dtype(np.float64))
        width = 0 if self.measure is None else self.measure.width
        self.metrics = zeros(len(cuts) * width, np.dtype(np.float64)).reshape(len(cuts), width)

    def work(self, lane: int) -> None:
        """A lane's blocks."""
        for number in range(lane, len(self.blocks), self.lanes.count):
            tape, a, y, v = self.blocks[number]
            play(tape)
            self.costs[number] = self.cost.total(a, y, v)
            if self.measure is not None:
                self.metrics[number] = self.measure.sums(a, y)

    def result(self) -> tuple[float, float | None]:
        """The first term of (6), and the metric if the plan has one, once every lane has worked."""
        cost = total(self.costs) / self.mass if self.mass else 0.0
        return cost, None if self.measure is None else self.measure.value(self.metrics.sum(axis=0))
