"""The cost and the metric of given parameters over a set of examples, without training on them."""

import numpy as np

from app.engine.backprop import Buffers, forward
from app.engine.costs import COSTS
from app.engine.measures import Measure
from app.engine.minibatches import BLOCK_ROWS, PIECE_ROWS
from app.engine.network import Array, Parameters
from app.engine.plan import Plan


class Evaluation:
    """Examples as rows x (m, s_1), y (m, s_n), laid out once to be evaluated after each epoch.

    Up to PIECE_ROWS examples go through the network at once, more go BLOCK_ROWS at a time, in their order.
    """

    def __init__(self, plan: Plan, x: Array, y: Array) -> None:
        self.architecture = plan.architecture
        self.cost = COSTS[plan.cost][plan.architecture.layers[-1].activation]
        self.measure = None if plan.metric is None else Measure(plan.metric, y)
        self.m = len(x)
        size = self.m if self.m <= PIECE_ROWS else BLOCK_ROWS
        cuts = [slice(first, first + size) for first in range(0, self.m, size)]
        self.blocks = [(x[cut].T, np.ascontiguousarray(y[cut].T)) for cut in cuts]
        lengths = {block.shape[1] for block, _ in self.blocks}
        self.buffers = {length: Buffers.of(self.architecture, length, x.dtype) for length in lengths}

    def __call__(self, parameters: Parameters) -> tuple[float, float | None]:
        """The first term of (6), and the metric if the plan has one."""
        n, measure = self.architecture.n, self.measure
        total, sums = 0.0, None
        for x, y in self.blocks:
            _, a = forward(self.architecture, parameters, x, self.buffers[x.shape[1]])
            total += self.cost.total(a[n], y)
            if measure is not None:
                part = measure.sums(a[n], y)
                sums = part if sums is None else sums + part
        return total / self.m, None if measure is None or sums is None else measure.value(sums)
