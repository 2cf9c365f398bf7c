"""What every piece of an epoch stands on: data, parameters, gradient, update, and the lanes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.costs import Cost
from app.engine.dropout import Clock, Masks
from app.engine.lanes import Lanes
from app.engine.leaves import Stage
from app.engine.measures import Measure, Sums
from app.engine.memory import Array, Zeros
from app.engine.network import Architecture, Parameters
from app.engine.plan import Plan
from app.engine.tape import Tape
from app.engine.update import Update

Weights = NDArray[np.float64]
Order = NDArray[np.signedinteger]


class Tally(NamedTuple):
    """Over the examples of a piece, as they were before each update: Σ v_k J_k, Σ v_k (their number, without
    weights), Σ of v_k times the decay term of (6), and the metric's sums.
    """

    data_cost: float
    mass: float
    decay: float
    metric: Sums | None


@dataclass
class Terrain:
    """x is (m, s_1), y (m, s_n), C-ordered and in the plan's dtype; ``weights`` (m,). ``order`` holds the
    running epoch's order of the examples, None where they are taken as they lie.
    """

    plan: Plan
    x: Array
    y: Array
    weights: Weights | None
    order: Order | None
    clock: Clock
    parameters: Parameters
    gradient: Parameters
    cost: Cost
    measure: Measure | None
    update: Update
    masks: Masks
    lanes: Lanes
    zeros: Zeros

    @property
    def network(self) -> Architecture:
        return self.plan.architecture

    def tape(self, stages: Iterable[Stage]) -> list[Tape]:
        """For each lane: its leaves of every stage, and behind each a wait for the others."""
        count = self.lanes.count
        tapes = [Tape() for _ in range(count)]
        for stage in stages:
            for q, leaf in enumerate(stage):
                tapes[q % count].extend(leaf)
            if count > 1:
                for tape in tapes:
                    tape(self.lanes.barrier)
        return tapes

    def take(self, source: Array, first: int, count: int, out: Array) -> Array:
        """``count`` rows of a source from place ``first`` of the epoch's order on, in ``out`` where they do
        not lie together.
        """
        if self.order is None:
            return source[first : first + count]
        # mode="clip" writes straight to out; the default would go through a copy.
        return np.take(source, self.order[first : first + count], 0, out[:count], "clip")
