"""What the benchmarks train: seven networks on random data, and the one way to time and print a training.

Everybody does the same arithmetic: tanh layers, cost 1/(2m) Σ ‖a − y‖² + λ/2 Σ W², gradient descent with
learning rate α on shuffled minibatches, float32, the cost of every epoch recorded. Examples that would not
fill a minibatch are left out for everybody.

This module does not load NumPy: whoever imports it may still set the number of its threads.
"""

import argparse
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

ALPHA, LAMBDA = 0.1, 1e-4
ENOUGH = 4.0  # seconds of timed runs after which no further one begins


class Took(NamedTuple):
    """Seconds of all of a workload's steps; and, where it can be told apart, of what is done before them at
    each run: making arrays, tapes and processes.
    """

    steps: float
    set_up: float | None = None


Training = Callable[[], Took]
"""One training from the first weights to the last epoch's cost. The first call also compiles, where there is
something to compile."""


class Workload(NamedTuple):
    """``sizes`` are s_1 … s_n; a ``batch`` of all examples is full-batch descent."""

    examples: int
    sizes: tuple[int, ...]
    batch: int
    epochs: int

    @property
    def steps(self) -> int:
        return self.examples // self.batch * self.epochs

    def data(self) -> "tuple[Rows, Rows]":
        """x (m, s_1) and y (m, s_n); m is a multiple of the batch."""
        import numpy as np

        draw = np.random.default_rng(0)
        x = draw.standard_normal((self.examples, self.sizes[0])).astype(np.float32)
        y = draw.random((self.examples, self.sizes[-1])).astype(np.float32)
        m = self.examples - self.examples % self.batch
        return x[:m], y[:m]


WORKLOADS = {
    "iris_full_batch": Workload(150, (4, 8, 3), 150, 2000),
    "digits": Workload(1797, (64, 64, 10), 32, 10),
    "tabular": Workload(20_000, (50, 100, 50, 1), 128, 3),
    "mnist": Workload(60_000, (784, 128, 10), 128, 1),
    "mnist_deep": Workload(60_000, (784, 256, 128, 10), 128, 1),
    "tabular_full_batch": Workload(100_000, (50, 100, 1), 100_000, 5),
    "wide": Workload(4096, (1024, 2048, 2048, 10), 512, 3),
}


def pin_blas(threads: int) -> None:
    """How many threads a matrix product may use: to be said before NumPy, SciPy, torch or jax are loaded."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The flags that engine.py and peers.py share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="default: all seven")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3, help="timed runs, after one to warm up")
    parser.add_argument(
        "--once", action="store_true", help="one run and no output: for who times the whole process"
    )
    return parser


def show(name: str, peer: str, threads: int, training: Training, repeats: int) -> None:
    """Train once to warm up and ``repeats`` times for the record, fewer if ENOUGH; prints a JSON line."""
    training()
    runs = [training()]
    while len(runs) < repeats and sum(run.steps for run in runs) < ENOUGH:
        runs.append(training())
    runs.sort()
    median, steps = runs[len(runs) // 2], WORKLOADS[name].steps
    row = {
        "workload": name,
        "peer": peer,
        "threads": threads,
        "median_us_per_step": round(median.steps / steps * 1e6, 1),
        "best_us_per_step": round(runs[0].steps / steps * 1e6, 1),
    }
    if median.set_up is not None:
        row["set_up_ms"] = round(median.set_up * 1e3, 1)
    print(json.dumps(row), flush=True)
