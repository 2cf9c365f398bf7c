"""How fast and how large answers to many rows are: matrices beside NumPy alone, and files of 100,000 rows.

    python -m bench.serving [--rows 10000] [--times 15]

Starts a server of its own. Prints JSON lines; medians, and ratios of turns taken one after the other.
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from bench.service import ROOT, free_port, server, show

NETWORKS = {"20-64-3": (20, 64), "784-128-3": (784, 128)}
"""Inputs and hidden units, to three classes."""

MIB = 2**20


def trained(client: httpx.Client, inputs: int, hidden: int) -> str:
    """A model of one epoch: how well it does is of no interest here."""
    draw = np.random.default_rng(0)
    points = draw.normal(3.0, 2.0, (300, inputs))
    lines = [",".join([*(f"x{i}" for i in range(inputs)), "kind"])]
    lines += [",".join([*(f"{value:.4f}" for value in row), f"k{n % 3}"]) for n, row in enumerate(points)]
    kind = {"Content-Type": "text/csv"}
    dataset = client.post("/v1/datasets", content="\n".join(lines), headers=kind).raise_for_status().json()
    body = {
        "dataset_id": dataset["id"],
        "target": "kind",
        "architecture": {"layers": [{"units": hidden, "activation": "relu"}]},
        "training": {"epochs": 1, "early_stopping": None},
    }
    job = client.post("/v1/jobs", json=body).raise_for_status().json()
    ended = client.get(f"/v1/jobs/{job['id']}?wait=30&wait_for=terminal").json()
    assert ended["status"] == "succeeded", ended
    return str(ended["model_id"])


def matrices(client: httpx.Client, name: str, rows: int, times: int) -> None:
    """A matrix of float32 and its answer, ours and those of plain NumPy behind a bare route, in turn."""
    inputs, hidden = NETWORKS[name]
    model = trained(client, inputs, hidden)
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(1).normal(3.0, 2.0, (rows, inputs)).astype(np.float32))
    content = buffer.getvalue()
    answer = client.get(f"/v1/models/{model}/parameters").json()["data"]
    with tempfile.TemporaryDirectory() as directory, free_port() as port:
        weights = Path(directory) / "weights.npz"
        pairs = {
            f"{key}{n}": np.array(each[key], "f4") for n, each in enumerate(answer) for key in ("W", "b")
        }
        np.savez(weights, **pairs)  # type: ignore[arg-type]
        bare = subprocess.Popen(
            [sys.executable, "-m", "bench.bare_matrix", str(port), str(weights)], cwd=ROOT
        )
        try:
            took = taken(client, f"/v1/models/{model}/predict", f"http://127.0.0.1:{port}/", content, times)
        finally:
            bare.terminate()
            bare.wait(10)
    ours, theirs = (1000 * statistics.median(each) for each in took)
    ratio = statistics.median(b / a for a, b in zip(*took, strict=True))
    show(f"matrix_{name}", rows=rows, ours_ms=ours, numpy_and_transfer_ms=theirs, ratio=ratio)


def taken(
    client: httpx.Client, ours: str, bare: str, content: bytes, times: int
) -> tuple[list[float], list[float]]:
    """Seconds of each, in turn; of the bare one as soon as it answers."""
    kind = {"Content-Type": "application/x-npy"}
    took: tuple[list[float], list[float]] = ([], [])
    with httpx.Client(timeout=60) as other:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                other.post(bare, content=content)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        for turn in range(times + 2):
            for index, (who, path) in enumerate(((client, ours), (other, bare))):
                start = time.perf_counter()
                answered = who.post(path, content=content, headers=kind).raise_for_status()
                seconds = time.perf_counter() - start
                assert answered.content.startswith(b"\x93NUMPY")
                if turn >= 2:
                    took[index].append(seconds)
    return took


class Watched:
    """The greatest resident size of a process while the block runs, beyond that at its beginning."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = self.before = self._process.memory_info().rss

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def file(client: httpx.Client, pid: int, rows: int) -> None:
    """A CSV of so many rows and 20 columns, in and out, the answer taken in parts."""
    model = trained(client, *NETWORKS["20-64-3"])
    draw = np.random.default_rng(2).normal(3.0, 2.0, (rows, 20))
    lines = "\n".join(",".join(map(str, row)) for row in draw.round(4).tolist())
    content = (",".join(f"x{i}" for i in range(20)) + "\n" + lines + "\n").encode()
    path, kind = f"/v1/models/{model}/predict", {"Content-Type": "text/csv"}
    for _ in range(2):  # the first grows what every process grows once
        start, size = time.perf_counter(), 0
        with Watched(pid) as watched, client.stream("POST", path, content=content, headers=kind) as answer:
            answer.raise_for_status()
            for block in answer.iter_bytes():
                size += len(block)
        seconds = time.perf_counter() - start
    grown = (watched.most - watched.before) / MIB
    show(
        "file", rows=rows, seconds=seconds, sent_mib=len(content) / MIB, answered_mib=size / MIB,
        api_grown_mib=grown,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--file-rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=15)
    asked: Any = parser.parse_args()
    with server(1) as (client, pid):
        for name in NETWORKS:
            matrices(client, name, asked.rows, asked.times)
        file(client, pid, asked.file_rows)


if __name__ == "__main__":
    main()
