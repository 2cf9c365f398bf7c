"""An epoch of first-order steps, (7)-(8) and its relatives: piece by piece, each step an update."""

from app.engine.descent import Descent
from app.engine.network import Parameters
from app.engine.snapshot import Sums


class Steps:
    """``step`` steps of the running epoch are done; ``sums`` are the epoch's, and are added to."""

    converged = False

    def __init__(self, descent: Descent, sums: Sums, step: int) -> None:
        self.descent, self.sums = descent, sums
        self.position = [piece.before for piece in descent.pieces].index(step)
        self.last = descent.pieces[-1].steps - 1
        self.alpha = 0.0

    @property
    def step(self) -> int:
        return self.descent.pieces[self.position - 1].after if self.position else 0

    @property
    def learning_rate(self) -> float:
        return self.alpha

    def begin(self, epoch: int, alpha: float) -> None:
        self.alpha = alpha
        self.descent.begin(epoch, alpha)

    def go_on(self) -> bool:
        """Train on one more piece. True at the end of the epoch."""
        self.sums.add(self.descent.run(self.position))
        self.position += 1
        return self.position == len(self.descent.pieces)

    def end_epoch(self) -> None:
        self.position = 0

    def origin(self) -> Parameters:
        """The parameters that a snapshot must have."""
        return self.descent.parameters.copy()

    def costs(self) -> tuple[float, float]:
        """J of (6) and its first term over the examples seen in the running epoch."""
        sums = self.sums
        if not sums.mass:
            return 0.0, 0.0
        return (sums.data_cost + sums.decay) / sums.mass, sums.data_cost / sums.mass

    def gradient_norm(self) -> float:
        return self.descent.update.gradient_norm(self.descent.gradient, self.last)

    def is_finite(self) -> bool:
        return self.descent.update.is_finite(self.last)
