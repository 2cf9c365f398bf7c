"""What it costs to be watched: pollers and event streams on a server whose two jobs train.

    python -m bench.watching [--pollers 500] [--streams 300] [--seconds 20] [--rounds 3] [--database-url URL]

In each round the jobs train alone, then watched, then beside processes that do nothing but burn the CPU time
that the API and the watchers took: what is lost beyond that is the price of being watched. Every poller asks
for a job once a second and sends the ETag that it has. Prints JSON lines.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.service import ROOT, server, show

STREAMS_OF_A_KEY = 100
WARM_SECONDS = 8.0
"""Until all are connected, and the streams, which begin with all that has happened, have caught up."""

FORM: dict[str, Any] = {
    "target": "y",
    "task": "regression",
    "architecture": {"layers": [{"units": 256, "activation": "relu"}] * 2},
    "training": {"epochs": 10_000_000, "early_stopping": None, "batch_size": 64},
}
"""Some twenty epochs a second on one core; endless."""


def rows() -> str:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(4000, 16))
    y = np.sin(x.sum(axis=1)) + draw.normal(0, 0.1, len(x))
    head = ",".join(f"x{k}" for k in range(x.shape[1])) + ",y\n"
    return head + "".join(
        ",".join(f"{value:.4f}" for value in (*row, target)) + "\n" for row, target in zip(x, y, strict=True)
    )


def begin(client: httpx.Client, count: int) -> list[str]:
    """So many endless jobs, running; their ids."""
    answer = client.post("/v1/datasets", content=rows(), headers={"Content-Type": "text/csv"})
    dataset = answer.raise_for_status().json()["id"]
    jobs = [
        str(client.post("/v1/jobs", json={**FORM, "dataset_id": dataset}).raise_for_status().json()["id"])
        for _ in range(count)
    ]
    for job in jobs:
        while not client.get(f"/v1/jobs/{job}").json()["progress"]["completed"]:
            time.sleep(0.1)
    return jobs


def keys(client: httpx.Client, count: int) -> list[str]:
    """Secrets of so many keys of the same project."""
    made = [client.post("/v1/keys", json={"name": "watcher", "role": "read"}) for _ in range(count)]
    return [str(each.raise_for_status().json()["secret"]) for each in made]


def progress(client: httpx.Client, jobs: Sequence[str]) -> list[tuple[int, float]]:
    """Of each job the epochs that it has written, and when it did, in seconds."""
    found = [client.get(f"/v1/jobs/{job}").json()["progress"] for job in jobs]
    return [(each["completed"], datetime.fromisoformat(each["updated_at"]).timestamp()) for each in found]


def cpu_seconds(pid: int) -> float:
    """What the process has used of the processors so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def burn(seconds: float, share: float) -> None:
    """Use that share of one core's time, evenly, and nothing else."""
    begun, used = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begun) < seconds:
        if time.process_time() - used < share * passed:
            for _ in range(1000):
                pass
        else:
            time.sleep(0.001)


class Phase:
    """Some seconds of training, with or without company; the jobs' epochs per second in them."""

    def __init__(self, client: httpx.Client, pid: int, jobs: Sequence[str]) -> None:
        self._client, self._pid, self._jobs = client, pid, jobs

    def run(self, seconds: float, *companions: list[str]) -> tuple[float, float, list[dict[str, Any]]]:
        """Epochs per second of all jobs, the API's CPU seconds, and what the companions have printed."""
        beside = [
            subprocess.Popen([sys.executable, "-m", *each], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for each in companions
        ]
        time.sleep(WARM_SECONDS)
        first, used = progress(self._client, self._jobs), cpu_seconds(self._pid)
        time.sleep(seconds)
        last, used = progress(self._client, self._jobs), cpu_seconds(self._pid) - used
        rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(first, last, strict=True)]
        told = []
        for each in beside:
            output, _ = each.communicate(timeout=120)
            told += [json.loads(line) for line in output.splitlines()]
        return sum(rates), used, told


def measure(client: httpx.Client, pid: int, asked: argparse.Namespace) -> None:
    secrets = keys(client, max(1, math.ceil(asked.streams / STREAMS_OF_A_KEY)))
    kept: list[float] = []
    fair: list[float] = []
    for number in range(asked.rounds):
        jobs = begin(client, asked.jobs)  # new ones: a stream begins with all that has happened so far
        plan = {
            "port": client.base_url.port,
            "jobs": jobs,
            "keys": secrets,
            "pollers": asked.pollers,
            "streams": asked.streams,
            "seconds": asked.seconds + 2 * WARM_SECONDS,
            "begin": WARM_SECONDS,
        }
        phase = Phase(client, pid, jobs)
        alone, idle, _ = phase.run(asked.seconds)
        watched, api, told = phase.run(asked.seconds, ["bench.watchers", json.dumps(plan)])
        watchers = told[0].pop("cpu_seconds_per_second") * asked.seconds
        shares = [max(0.0, api - idle) / asked.seconds, watchers / asked.seconds]
        burners = [
            ["bench.watching", "--burn", str(asked.seconds + 2 * WARM_SECONDS), str(share)]
            for share in shares
        ]
        burned, _, _ = phase.run(asked.seconds, *burners)
        kept.append(watched / alone)
        fair.append(watched / burned)
        show("watched", round=number + 1, **told[0], api_cpu_seconds=api, api_idle_cpu_seconds=idle)
        show("training", epochs_per_second_alone=alone, watched=watched, beside_burners=burned)
        show("cpu", api_share=shares[0], watchers_share=shares[1])
        for job in jobs:
            client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
    show("training_kept", of_alone=statistics.median(kept), of_beside_burners=statistics.median(fair))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pollers", type=int, default=500)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database-url")
    parser.add_argument("--burn", nargs=2, type=float, metavar=("SECONDS", "SHARE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.burn:
        burn(*asked.burn)
        return
    with server(asked.workers, asked.database_url) as (client, pid):
        measure(client, pid, asked)


if __name__ == "__main__":
    main()
