"""The comparison's report: medians over rounds, and ratios of them, as tables in Markdown."""

import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Figures = dict[str, dict[str, list[float]]]
"""By workload and runner: one figure per round."""

CHAINRULE, SINGLE, FLOOR = "chainrule", "chainrule_1_thread", "blas_floor"
SET_UP = " with set-up"
PEERS = {"sklearn": "sklearn", "torch": "torch", "torch_compile": "torch.compile", "jax": "jax"}
NONE = "–"
STEPS = """\
Steps alone: the peers' compilation is left out, and our set-up at each run (arrays, tapes, processes). With
it, shared out over the few steps of these workloads, ours is the second column."""
COLD = """\
A whole process: interpreter, imports, data, compilation, training. What torch.compile keeps on disk from one
process to the next, it finds there."""


def surroundings(threads: int) -> dict[str, object]:
    """Where, when and with what: without this no figure can be compared with another."""
    cpus = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    versions = {"python": platform.python_version()}
    for package in ("numpy", "scikit-learn", "torch", "jax"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    head = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "bench.compare", *sys.argv[1:]]),
        "commit": head.stdout.strip() or "unknown",
        "cpu": f"{os.cpu_count()} × {cpus[0] if cpus else platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
        "threads": threads,
        "versions": versions,
    }


def markdown(
    around: Mapping[str, object],
    left_out: Mapping[str, str],
    steps: Figures,
    results: Figures,
    threads: int,
) -> str:
    parts = [
        "# Chainrule and its peers",
        top(around, left_out),
        f"## Microseconds per step, {threads} threads",
        STEPS,
        per_step(medians(steps), threads),
        "## Our threads",
        scaling(medians(steps), threads),
    ]
    if results:
        parts += ["## Seconds to a result, from a cold start", COLD, to_result(medians(results))]
    return "\n\n".join(parts)


def top(around: Mapping[str, object], left_out: Mapping[str, str]) -> str:
    lines = []
    for name, value in around.items():
        words = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        lines.append(f"- {name.replace('_', ' ')}: {words}")
    lines += [f"- left out: {name} ({reason})" for name, reason in left_out.items()]
    return "\n".join(lines)


def medians(figures: Figures) -> dict[str, dict[str, float]]:
    return {
        workload: {name: statistics.median(each) for name, each in row.items()}
        for workload, row in figures.items()
    }


def per_step(rows: Mapping[str, Mapping[str, float]], threads: int) -> str:
    columns = {
        CHAINRULE: CHAINRULE,
        CHAINRULE + SET_UP: "with set-up",
        FLOOR: f"blas floor ({threads} threads)",
        **PEERS,
    }
    lines, best, usual = [], [], []
    for workload, row in rows.items():
        best.append(best_peer(row))
        pair = [row[name] for name in ("sklearn", "torch") if name in row]
        usual.append(statistics.geometric_mean(pair) / row[CHAINRULE] if len(pair) == 2 else None)
        lines.append(
            [workload, *(shown(row.get(name)) for name in columns), times(best[-1]), times(usual[-1])]
        )
    lines.append(["**geometric mean**", *("" for _ in columns), mean(best), mean(usual)])
    ratios = ["best peer / chainrule", "geometric mean of sklearn and torch / chainrule"]
    return table(["workload", *columns.values(), *ratios], lines)


def scaling(rows: Mapping[str, Mapping[str, float]], threads: int) -> str:
    ratios = [row[SINGLE] / row[CHAINRULE] for row in rows.values()]
    lines = [
        [workload, shown(row[CHAINRULE]), shown(row[SINGLE]), times(ratio)]
        for (workload, row), ratio in zip(rows.items(), ratios, strict=True)
    ]
    lines.append(["**geometric mean**", "", "", mean(ratios)])
    return table(["workload", f"{threads} threads", "1 thread", f"1 thread / {threads} threads"], lines)


def to_result(rows: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        [
            workload,
            *(shown(row.get(name), 2) for name in (CHAINRULE, *PEERS)),
            times(best_peer(row)),
        ]
        for workload, row in rows.items()
    ]
    return table(["workload", CHAINRULE, *PEERS.values(), "best peer / chainrule"], lines)


def best_peer(row: Mapping[str, float]) -> float | None:
    """How many times as long as we the quickest peer takes: above 1, we are ahead of all."""
    peers = [row[name] for name in PEERS if name in row]
    return min(peers) / row[CHAINRULE] if peers else None


def mean(ratios: Sequence[float | None]) -> str:
    known = [ratio for ratio in ratios if ratio is not None]
    return f"**{times(statistics.geometric_mean(known))}**" if len(known) == len(ratios) else NONE


def times(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.2f}"


def shown(figure: float | None, digits: int = 1) -> str:
    return NONE if figure is None else f"{figure:,.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = [" --- ", *(" ---: " for _ in head[1:])]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
