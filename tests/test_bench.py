"""The benchmarks that need nothing but NumPy run, and say what their readers look for."""

import json
import subprocess
import sys
from pathlib import Path

from bench.report import Figures, markdown

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
    assert ours.keys() == {*theirs.keys(), "set_up_ms"}


def test_the_same_bits_come_out_whatever_the_threads_and_pauses() -> None:
    seed, *lines = run("bench.bits", "--workload", "digits", "--seed", "5").splitlines()
    assert seed == "seed 5"
    assert len(lines) == 4
    assert len({line.split()[1] for line in lines}) == 1


def test_the_report_has_ratios_of_medians_and_their_geometric_mean() -> None:
    ours = {"chainrule_1_thread": [30.0, 30.0, 30.0], "blas_floor": [5.0, 5.0, 5.0]}
    steps: Figures = {
        "digits": {
            "chainrule": [99.0, 10.0, 9.0],
            "chainrule with set-up": [12.0],
            **ours,
            "sklearn": [20.0] * 3,
            "torch": [80.0] * 3,
        },
        "wide": {"chainrule": [10.0], **ours, "sklearn": [90.0], "torch": [80.0]},
    }
    report = markdown({"rounds": 3}, {"jax": "not installed"}, steps, {}, threads=2)
    assert "- left out: jax (not installed)" in report
    assert "| digits | 10.0 | 12.0 | 5.0 | 20.0 | 80.0 | – | – | 2.00 | 4.00 |" in report
    assert "|  | **4.00** | **5.83** |" in report  # √(2 · 8), √(4 · √72)
    assert "| digits | 10.0 | 30.0 | 3.00 |" in report
    assert "Seconds to a result" not in report


def test_a_peer_that_is_missing_from_the_pair_leaves_no_mean() -> None:
    steps: Figures = {"digits": {"chainrule": [10.0], "chainrule_1_thread": [10.0], "sklearn": [20.0]}}
    assert "| digits | 10.0 | – | – | 20.0 | – | – | – | 2.00 | – |" in markdown({}, {}, steps, {}, threads=1)
