"""Our engine and every peer that is installed, side by side: tables in Markdown, and all figures as JSON.

    python -m bench.compare
    python -m bench.compare --quick --workload digits --json figures.json

Everything runs in rounds, and in every round each takes its turn, the next round in the opposite order, so
that a slow minute of the machine falls on all. Each turn is a process of its own: what one does with threads
and memory does not reach another. It warms up with a whole run and takes the median of a few; the tables
have medians over the rounds. The time to a result is that of a whole process, from its start to its end.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.report import CHAINRULE, FLOOR, SET_UP, SINGLE, Figures, markdown, surroundings
from bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
SMALL = ("iris_full_batch", "digits")  # whose time to a result is taken unless all are asked for


class Runner(NamedTuple):
    """``module`` is run as a program with ``flags``; without the package ``needs`` it cannot be."""

    module: str
    flags: tuple[str, ...]
    needs: str


class Failed(Exception):
    """A runner's process ended in an error; its last line of complaint is the message."""


def runners(threads: int) -> dict[str, Runner]:
    peers = {FLOOR: "numpy", "sklearn": "sklearn", "torch": "torch", "torch_compile": "torch", "jax": "jax"}
    many, ours = ("--threads", str(threads)), "bench.engine"
    return {
        CHAINRULE: Runner(ours, many, "numpy"),
        SINGLE: Runner(ours, ("--threads", "1"), "numpy"),
        **{peer: Runner("bench.peers", ("--peer", peer, *many), needs) for peer, needs in peers.items()},
    }


def run(runner: Runner, workload: str, *flags: str) -> str:
    command = [sys.executable, "-m", runner.module, "--workload", workload, *runner.flags, *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise Failed((ended.stderr.strip() or f"exit code {ended.returncode}").splitlines()[-1])
    return ended.stdout


def step(runner: Runner, workload: str, repeats: int) -> dict[str, float]:
    """Microseconds per step; and ours with its part of the set-up."""
    row = json.loads(run(runner, workload, "--repeats", str(repeats)))
    found = {"": float(row["median_us_per_step"])}
    if "set_up_ms" in row:
        found[SET_UP] = found[""] + row["set_up_ms"] * 1e3 / WORKLOADS[workload].steps
    return found


def result(runner: Runner, workload: str) -> dict[str, float]:
    """Seconds from nothing to a trained network."""
    start = time.perf_counter()
    run(runner, workload, "--once")
    return {"": time.perf_counter() - start}


class Comparison:
    """What has been measured, and who is still in: a peer that fails once is out, and named in the report."""

    def __init__(self, threads: int) -> None:
        everybody = runners(threads)
        self.runners = {name: each for name, each in everybody.items() if find_spec(each.needs)}
        self.left_out = {name: "not installed" for name in everybody if name not in self.runners}
        self.steps: Figures = {}
        self.results: Figures = {}

    def round(self, number: int, workloads: list[str], repeats: int) -> None:
        for workload in workloads:
            for name in self.turns(number):
                self.measure(self.steps, name, workload, repeats)

    def cold_round(self, number: int, workloads: list[str]) -> None:
        for workload in workloads:
            for name in self.turns(number):
                if name not in (SINGLE, FLOOR):
                    self.measure(self.results, name, workload, None)

    def turns(self, number: int) -> list[str]:
        return list(self.runners)[:: -1 if number % 2 else 1]

    def measure(self, figures: Figures, name: str, workload: str, repeats: int | None) -> None:
        sys.stderr.write(f"\r\033[K{workload}: {name}")
        sys.stderr.flush()
        runner = self.runners[name]
        try:
            found = result(runner, workload) if repeats is None else step(runner, workload, repeats)
        except Failed as problem:
            if runner.module == "bench.engine":
                raise
            del self.runners[name]
            self.left_out[name] = str(problem)
        else:
            for kind, figure in found.items():
                figures.setdefault(workload, {}).setdefault(name + kind, []).append(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, help="default 3, and 1 with --quick")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="default: all seven")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="one round, one timed run each, fewer results")
    parser.add_argument(
        "--minutes", type=float, default=12, help="no round begins that would end after these"
    )
    parser.add_argument("--all-results", action="store_true", help="time to a result of every workload")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here")
    asked = parser.parse_args()
    rounds, repeats = asked.rounds or (1 if asked.quick else 3), 1 if asked.quick else 3
    workloads = asked.workload or list(WORKLOADS)
    small = [each for each in workloads if each in SMALL][: 1 if asked.quick else None]
    around, start, done = surroundings(asked.threads), time.perf_counter(), 0
    compared = Comparison(asked.threads)
    # Each further round is taken to last as long as those before it did, on average.
    while done < rounds and (time.perf_counter() - start) * (done + 1) <= 60 * asked.minutes * max(done, 1):
        compared.round(done, workloads, repeats)
        compared.cold_round(done, workloads if asked.all_results else small)
        done += 1
    around["rounds"] = done
    sys.stderr.write("\r\033[K")
    print(markdown(around, compared.left_out, compared.steps, compared.results, asked.threads), flush=True)
    if asked.json:
        figures = {"us_per_step": compared.steps, "seconds_to_result": compared.results}
        asked.json.write_text(
            json.dumps({**around, "left_out": compared.left_out, **figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
