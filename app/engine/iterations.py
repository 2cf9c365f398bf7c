"""An epoch that is an iteration of L-BFGS: as many evaluations of J and ∇J as its line search asks for."""

import math
from typing import NamedTuple

import numpy as np

from app.engine import lbfgs
from app.engine.descent import Descent
from app.engine.lbfgs import LBFGS, Iteration, LBFGSState, Outcome
from app.engine.network import Parameters
from app.engine.snapshot import Sums
from app.engine.terrain import Tally


class Evaluated(NamedTuple):
    """J of (6), the tally behind it and ‖∇J‖; ∇J itself is in the descent's gradient."""

    J: float
    tally: Tally
    norm: float


class Iterations:
    """As `Steps`. Its epochs are whole or not at all: between evaluations ``step`` is 0, and `origin` the
    parameters that a snapshot must have.
    """

    step = 0

    def __init__(self, descent: Descent, sums: Sums, step: int) -> None:
        optimizer, state = descent.terrain.plan.optimizer, descent.state
        assert isinstance(optimizer, LBFGS)
        assert isinstance(state, LBFGSState)
        self.descent, self.sums, self.optimizer, self.state = descent, sums, optimizer, state
        self.room = lbfgs.Room.of(descent.parameters.flat)
        self.here: Evaluated | None = None  # at the parameters as they are
        self.start: Evaluated | None = None  # at those of the epoch's start
        self.iteration: Iteration | None = None
        self.learning_rate = 0.0
        self.converged = False

    def begin(self, epoch: int, alpha: float) -> None:
        self.descent.begin(epoch, alpha)

    def go_on(self) -> bool:
        """Evaluate once more. True at the end of the epoch."""
        theta, g = self.descent.parameters.flat, self.descent.gradient.flat
        try:
            if self.iteration is None:
                start = self.start = self.here or self._evaluate()
                if not math.isfinite(start.J + start.norm):
                    self.sums.add(start.tally)
                    return True
                self.iteration = lbfgs.iteration(self.optimizer, self.state, theta, start.J, g, self.room)
                next(self.iteration)
            else:
                self.here = self._evaluate()
                self.iteration.send((self.here.J, g))
        except StopIteration as end:
            self._end(end.value)
            return True
        return False

    def _end(self, outcome: Outcome) -> None:
        assert self.start is not None
        self.iteration = None
        self.sums.add(self.start.tally)
        self.learning_rate = outcome.step
        self.converged = outcome.converged or not outcome.step
        if not outcome.step:
            self.here = self.start if not outcome.evaluations else None

    def _evaluate(self) -> Evaluated:
        tally = self.descent.run(0)
        norm = self.descent.update.gradient_norm(self.descent.gradient, 0)
        J = (tally.data_cost + tally.decay) / tally.mass if tally.mass else 0.0
        return Evaluated(J, tally, norm)

    def end_epoch(self) -> None:
        """Nothing is left open between two epochs."""

    def origin(self) -> Parameters:
        """The parameters at the start of the running epoch, or between two as they are."""
        parameters = self.descent.parameters.copy()
        if self.iteration is not None:
            np.copyto(parameters.flat, self.room.theta)
        return parameters

    def costs(self) -> tuple[float, float]:
        """J of (6) and its first term at the start of the running epoch."""
        if self.start is None or not self.start.tally.mass:
            return 0.0, 0.0
        return self.start.J, self.start.tally.data_cost / self.start.tally.mass

    def gradient_norm(self) -> float:
        assert self.start is not None
        return self.start.norm

    def is_finite(self) -> bool:
        return self.descent.parameters.is_finite()
