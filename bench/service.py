"""How fast the whole service is, over HTTP on loopback: one job's way, many jobs, one-row predictions.

    python -m bench.service [--jobs 200] [--requests 3000] [--database-url URL]

Starts a server of its own on a temporary directory. Prints JSON lines; medians, and ratios from one run.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.engine import Architecture, Layer, initialise
from app.models import parameters as codec

ROOT = Path(__file__).parents[1]


def iris() -> str:
    """150 rows in three noisy clusters of four numbers: iris's size and shape, without its licence."""
    draw = np.random.default_rng(0)
    lines = ["a,b,c,d,kind"]
    for k in range(150):
        point = draw.normal(k % 3, 0.4, 4)
        lines.append(",".join(f"{value:.2f}" for value in point) + f",k{k % 3}")
    return "\n".join(lines) + "\n"


IRIS_JOB: dict[str, Any] = {
    "target": "kind",
    "architecture": {"layers": [{"units": 8, "activation": "tanh"}]},
    "training": {"epochs": 100, "early_stopping": None},
}


@contextmanager
def server(
    workers: int, database_url: str | None = None, data_dir: Path | None = None
) -> Iterator[tuple[httpx.Client, int]]:
    """A server of the installed code: a client with its admin key, and its process id. Its directory is
    deleted unless one is given."""
    with tempfile.TemporaryDirectory() if data_dir is None else nullcontext(str(data_dir)) as directory:
        command = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
        command += ["--data-dir", directory, "--workers", str(workers)]
        environment = {**os.environ, "CHAINRULE_ADMIN_KEY": "a-key-for-benchmarks"}
        if database_url:
            environment["CHAINRULE_DATABASE_URL"] = database_url
            migrate = [sys.executable, "-m", "app.cli", "migrate", "--data-dir", directory]
            subprocess.run(migrate, check=True, env=environment, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT)
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        headers = {"Authorization": "Bearer a-key-for-benchmarks"}
        try:
            with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
                while client.get(f"/readyz?workers={min(1, workers)}").status_code != 200:
                    time.sleep(0.05)
                yield client, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            process.stdout.close()


def upload(client: httpx.Client) -> str:
    answer = client.post("/v1/datasets", content=iris(), headers={"Content-Type": "text/csv"})
    return str(answer.raise_for_status().json()["id"])


def one_job(client: httpx.Client, dataset: str, times: int) -> None:
    """Submit one job, wait for its end, again and again: milliseconds from the POST to ``succeeded``."""
    took = []
    for index in range(times + 5):
        start = time.perf_counter()
        job = client.post("/v1/jobs", json={**IRIS_JOB, "dataset_id": dataset}).raise_for_status().json()
        ended = client.get(f"/v1/jobs/{job['id']}?wait=30&wait_for=terminal").json()
        assert ended["status"] == "succeeded", ended
        if index >= 5:
            took.append(1000 * (time.perf_counter() - start))
    show("submit_to_succeeded_ms", p50=statistics.median(took), p90=statistics.quantiles(took, n=10)[-1])


def many_jobs(client: httpx.Client, dataset: str, count: int) -> None:
    """Jobs per second from the first submission until the last has ended, submitted by 4 connections."""
    body = {**IRIS_JOB, "dataset_id": dataset}

    async def submit_all() -> None:
        async with httpx.AsyncClient(base_url=client.base_url, headers=client.headers, timeout=60) as many:
            limit = asyncio.Semaphore(4)

            async def submit() -> None:
                async with limit:
                    (await many.post("/v1/jobs", json=body)).raise_for_status()

            await asyncio.gather(*(submit() for _ in range(count)))

    start = time.perf_counter()
    asyncio.run(submit_all())
    submitted = time.perf_counter()
    while client.get("/v1/jobs?status=queued&limit=1").json()["data"]:
        time.sleep(0.02)
    while client.get("/v1/jobs?status=running&limit=1").json()["data"]:
        time.sleep(0.005)
    took = time.perf_counter() - start
    show("jobs_drained_per_second", value=count / took, submitting_seconds=submitted - start)


def one_row(client: httpx.Client, dataset: str, requests: int) -> None:
    """One-row predictions on one keep-alive connection, ours and the bare route in turn."""
    job = client.post("/v1/jobs", json={**IRIS_JOB, "dataset_id": dataset}).json()
    ended = client.get(f"/v1/jobs/{job['id']}?wait=30&wait_for=terminal").json()
    network = ended["architecture"]
    architecture = Architecture(4, (Layer(8, "tanh"), Layer(3, "softmax")))
    with tempfile.TemporaryDirectory() as name, free_port() as port:
        weights, described = Path(name) / "weights", Path(name) / "network.json"
        weights.write_bytes(codec.dump(initialise(architecture, 0, "float32")))
        described.write_text(json.dumps(network))
        command = [sys.executable, "-m", "bench.bare", str(port), str(weights), str(described)]
        bare = subprocess.Popen(command, cwd=ROOT)
        try:
            body = {"inputs": [[0.1, 0.2, 0.3, 0.4]]}
            ours = (str(client.base_url.port), f"/v1/models/{ended['model_id']}/predict")
            rates = compare(ours, (str(port), "/predict"), body, client.headers["Authorization"], requests)
        finally:
            bare.terminate()
            bare.wait(10)
    show("one_row_predict", ours_per_second=rates[0], bare_per_second=rates[1], ratio=rates[0] / rates[1])


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port


def compare(
    ours: tuple[str, str], bare: tuple[str, str], body: dict[str, Any], key: str, requests: int
) -> tuple[float, float]:
    """Median requests per second of each, in rounds taken in turn, by a client that does little."""
    content = json.dumps(body).encode()

    def connect(port: str, path: str) -> tuple[socket.socket, bytes]:
        deadline = time.monotonic() + 10
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", int(port)))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return connection, head.encode() + content

    ends = [connect(*ours), connect(*bare)]
    rates: list[list[float]] = [[], []]
    for _ in range(11):
        for index, (connection, message) in enumerate(ends):
            start = time.perf_counter()
            for _ in range(requests // 11):
                connection.sendall(message)
                answer = connection.recv(65536)
                while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                    answer += connection.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200"), answer
            rates[index].append((requests // 11) / (time.perf_counter() - start))
    for connection, _ in ends:
        connection.close()
    return statistics.median(rates[0][1:]), statistics.median(rates[1][1:])


def show(name: str, **figures: float) -> None:
    rounded = {each: round(value, 3) for each, value in figures.items()}
    sys.stdout.write(json.dumps({"figure": name, **rounded}) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--requests", type=int, default=6600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    with server(asked.workers, asked.database_url) as (client, _):
        dataset = upload(client)
        one_job(client, dataset, 40)
        many_jobs(client, dataset, asked.jobs)
        one_row(client, dataset, asked.requests)


if __name__ == "__main__":
    main()
