"""Do threads, or pauses, change a bit? SHA-256 of every workload's final parameters, however they came about.

    python -m bench.bits
    python -m bench.bits --quick --workload digits --seed 7

Trains with 1, 2 and 3 threads, and once more with pauses at random: at the ends of epochs and inside them,
each time from the snapshot's stored form and with another number of threads. Exits with 1 if two digests of
a workload differ.
"""

import argparse
import random
import secrets
import sys
from collections.abc import Iterator

from bench.workloads import WORKLOADS, Workload, pin_blas

pin_blas(1)  # as the trainers have it

from app import engine  # noqa: E402 - the number of BLAS threads is read when NumPy loads
from bench.engine import plan  # noqa: E402

PAUSES = 6


class Pauses:
    """When to pause: PAUSES times, more or less, in a run of ``reports`` reports."""

    def __init__(self, seed: int, reports: int) -> None:
        self.draw, self.reports = random.Random(seed), reports
        self.at_epochs = self.inside = 0
        self.left = self.gap()

    def gap(self) -> int:
        return self.draw.randint(1, max(1, 2 * self.reports // (PAUSES + 1)))

    def due(self, report: engine.Epoch | engine.Progress) -> bool:
        self.left -= 1
        if self.left:
            return False
        self.left = self.gap()
        self.at_epochs += isinstance(report, engine.Epoch)
        self.inside += isinstance(report, engine.Progress)
        return True


def straight(whole: engine.Plan, data: engine.Data, threads: int) -> tuple[str, int]:
    """The digest, and how often the run reported before it."""
    for count, report in enumerate(engine.train(engine.Snapshot.start(whole), data, whole, threads=threads)):
        if isinstance(report, engine.Finished):
            return report.parameters.sha256(), count
    raise AssertionError("a run ends with its result")


def paused(whole: engine.Plan, data: engine.Data, pauses: Pauses) -> str:
    snapshot = engine.Snapshot.start(whole)
    while True:
        threads = pauses.draw.randint(1, 3)
        for report in engine.train(snapshot, data, whole, threads=threads):
            if isinstance(report, engine.Finished):
                return report.parameters.sha256()
            if pauses.due(report):
                # Copies: the parts are views, and the run that they are views of ends here.
                arrays, scalars = report.snapshot().to_parts()
                kept = {name: array.copy() for name, array in arrays.items()}
                snapshot = engine.Snapshot.from_parts(whole, kept, scalars)
                break


def digests(workload: Workload, epochs: int, seed: int) -> Iterator[tuple[str, str]]:
    """How it was trained, and what came out."""
    whole = plan(workload, epochs, progress_seconds=0.0)
    data = engine.Data(*workload.data())
    reports = 0
    for threads in (1, 2, 3):
        digest, reports = straight(whole, data, threads)
        yield f"threads {threads}", digest
    pauses = Pauses(seed, reports)
    digest = paused(whole, data, pauses)
    yield f"paused {pauses.at_epochs} times after an epoch, {pauses.inside} times inside", digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="default: all seven")
    parser.add_argument("--seed", type=int, help="decides where the pauses are; drawn if not given")
    parser.add_argument("--quick", action="store_true", help="a tenth of the epochs")
    asked = parser.parse_args()
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}")
    differ = False
    for name in asked.workload or WORKLOADS:
        workload = WORKLOADS[name]
        epochs = -(-workload.epochs // 10) if asked.quick else workload.epochs
        found = set()
        for how, digest in digests(workload, epochs, seed):
            print(f"{name}: {digest}  {how}", flush=True)
            found.add(digest)
        if len(found) > 1:
            print(f"{name}: NOT THE SAME BITS")
            differ = True
    sys.exit(differ)


if __name__ == "__main__":
    main()
