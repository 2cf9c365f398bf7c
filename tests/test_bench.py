"""The benchmarks that need nothing but NumPy run, and say what their readers look for."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: str) -> str:
    ended = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_engine_prints_one_line_for_a_workload() -> None:
    row = json.loads(run("bench.engine", "--workload", "digits", "--threads", "2", "--repeats", "1"))
    assert row["workload"] == "digits"
    assert row["peer"] == "chainrule"
    assert row["threads"] == 2
    assert 0 < row["best_us_per_step"] <= row["median_us_per_step"] < 1_000_000


def test_a_peer_prints_the_same_fields() -> None:
    ours = json.loads(run("bench.engine", "--workload", "digits", "--repeats", "1"))
    theirs = json.loads(run("bench.peers", "--peer", "blas_floor", "--workload", "digits", "--repeats", "1"))
    assert ours.keys() == theirs.keys()


def test_the_same_bits_come_out_whatever_the_threads_and_pauses() -> None:
    seed, *lines = run("bench.bits", "--workload", "digits", "--seed", "5").splitlines()
    assert seed == "seed 5"
    assert len(lines) == 4
    assert len({line.split()[1] for line in lines}) == 1
