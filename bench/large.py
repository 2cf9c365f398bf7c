"""A CSV of 2 GB: uploaded, read and trained on for one epoch; and the memory that each process takes for it.

    python -m bench.large [GIGABYTES]

Prints a table of peaks of resident memory. Needs about four times as much room on the disk. Linux only.
"""

import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from tests.support.server import Server

COLUMNS = 20
BLOCK_ROWS = 100_000
BLOCKS = 8
CHUNK = 8 << 20
STAGES = ("upload", "read", "train")


class Watcher(threading.Thread):
    """Notes the most resident memory of every process of a server, by stage and part."""

    def __init__(self, api: int) -> None:
        super().__init__(daemon=True)
        self._api = psutil.Process(api)
        self.stage = STAGES[0]
        self.peaks: dict[tuple[str, str], int] = defaultdict(int)
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            for process in (self._api, *self._api.children(recursive=True)):
                try:
                    memory, part = process.memory_info().rss, _part(process, self._api)
                except psutil.Error:
                    continue
                self.peaks[self.stage, part] = max(self.peaks[self.stage, part], memory)


def _part(process: psutil.Process, api: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if process == api:
        return "API"
    if ".child " in line:
        return "parser"
    return "trainer" if "spawn_main" in line else "worker"


def blocks() -> list[bytes]:
    """Rows of numbers as CSV; the last of each is what the others add up to, and some noise."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(BLOCKS):
        x = random.normal(size=(BLOCK_ROWS, COLUMNS))
        x[:, -1] = x[:, :-1].sum(axis=1) + random.normal(size=BLOCK_ROWS)
        made.append(
            "\n".join(",".join(f"{value:.5f}" for value in row) for row in x.tolist()).encode() + b"\n"
        )
    return made


def content(size: int) -> Iterator[bytes]:
    """A header and rows, of about that many bytes."""
    made = blocks()
    header = ",".join([*(f"x{i}" for i in range(COLUMNS - 1)), "y"]).encode() + b"\n"
    yield header
    sent, number = len(header), 0
    while sent < size:
        block = made[number % BLOCKS]
        for start in range(0, len(block), CHUNK):
            yield block[start : start + CHUNK]
        sent, number = sent + len(block), number + 1


def measure(gigabytes: float, directory: Path) -> None:
    server = Server(directory / "data", workers=1, job_memory_bytes=16 << 30, parse_seconds=1800)
    server.start()
    watcher = Watcher(server.process.pid)
    watcher.start()
    seconds: dict[str, float] = {}
    try:
        client = server.client()
        client.timeout = 3_600.0
        start = time.monotonic()
        sent = content(int(gigabytes * 1e9))

        def told() -> Iterator[bytes]:
            yield from sent
            seconds["upload"], watcher.stage = time.monotonic() - start, "read"

        made = client.post("/v1/datasets", content=told(), headers={"Content-Type": "text/csv"})
        dataset = made.raise_for_status().json()
        while dataset["status"] == "processing":
            dataset = client.get(f"/v1/datasets/{dataset['id']}", params={"wait": 30}).json()
        if dataset["status"] != "ready":
            raise SystemExit(f"it was not read: {dataset['error']}")
        seconds["read"] = time.monotonic() - start - seconds["upload"]
        print(f"{dataset['row_count']:,} rows, {dataset['size_bytes'] / 1e6:,.0f} MB as Parquet")
        watcher.stage, start = "train", time.monotonic()
        asked = {"dataset_id": dataset["id"], "target": "y", "training": {"epochs": 1, "batch_size": 4096}}
        job = client.post("/v1/jobs", json=asked).raise_for_status().json()
        while job["status"] not in ("succeeded", "failed"):
            job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
        seconds["train"] = time.monotonic() - start
        print(f"trained: {job['status']}, {job['result'] or job['error']}")
    finally:
        watcher.over.set()
        server.close()
    for stage in STAGES:
        parts = {part: peak for (of, part), peak in watcher.peaks.items() if of == stage}
        told_parts = ", ".join(f"{part} {peak / 2**20:,.0f} MiB" for part, peak in sorted(parts.items()))
        print(f"{stage:7} {seconds.get(stage, float('nan')):7.1f} s   {told_parts}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_directory:
        measure(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0, Path(made_directory))
