"""When to stop before the last epoch, and which parameters to keep."""

from dataclasses import dataclass

import numpy as np

from app.engine.network import Parameters
from app.engine.plan import EarlyStopping


@dataclass
class Best:
    """The least monitored value so far, its epoch, the epochs since, and its parameters where wanted."""

    value: float | None = None
    epoch: int | None = None
    wait: int = 0
    parameters: Parameters | None = None

    def copy(self) -> "Best":
        kept = None if self.parameters is None else self.parameters.copy()
        return Best(self.value, self.epoch, self.wait, kept)

    def judge(self, rule: EarlyStopping, epoch: int, value: float, parameters: Parameters) -> None:
        """Take in the value of an epoch, in place."""
        if epoch <= rule.start_from_epoch:
            return
        if self.value is not None and not value < self.value - rule.min_delta:
            self.wait += 1
            return
        self.value, self.epoch, self.wait = value, epoch, 0
        if rule.restore_best_weights:
            if self.parameters is None:
                self.parameters = parameters.copy()
            else:
                np.copyto(self.parameters.flat, parameters.flat)

    def stops(self, rule: EarlyStopping) -> bool:
        return self.wait >= max(1, rule.patience)
