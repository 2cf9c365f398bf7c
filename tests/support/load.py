"""Clients that create jobs, follow each to its end, and ask again while the database is away."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.promises import TERMINAL, Control
from tests.support.recorder import Recorder
from tests.support.server import Server
from tests.support.training import Json

PATIENCE = 90.0


@dataclass
class Load:
    """``jobs`` are those that were acknowledged, ``slowest`` is the longest wait for a 503."""

    server: Server
    body: Json
    recorder: Recorder = field(default_factory=Recorder)
    jobs: list[str] = field(default_factory=list)
    refused: int = 0
    slowest: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def controls(self, control: Control) -> dict[str, Control]:
        return dict.fromkeys(self.jobs, control)

    def ask(self, client: httpx.Client, method: str, path: str, **sent: Any) -> Json:
        """The answer, when there is one that is not a 503."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            start = time.monotonic()
            response = client.request(method, path, **sent)
            if response.status_code != 503:
                assert response.is_success, response.text
                body: Json = response.json()
                return body
            assert int(response.headers["Retry-After"]) >= 1
            self.refused += 1
            self.slowest = max(self.slowest, time.monotonic() - start)
            time.sleep(random.uniform(0.05, 0.2))
        raise TimeoutError(f"{method} {path} was not answered for {PATIENCE} s")

    def work(self, number: int, seed: int) -> None:
        with self.recorder.client(self.server) as client:
            for turn in itertools.count():
                if self.over.is_set():
                    return
                key = f"{seed} {number}.{turn}"
                headers = {"Idempotency-Key": key}
                job = self.ask(client, "POST", "/v1/jobs", json={**self.body, "name": key}, headers=headers)
                self.jobs.append(job["id"])
                while job["status"] not in TERMINAL:
                    time.sleep(0.1)
                    job = self.ask(client, "GET", f"/v1/jobs/{job['id']}")


@contextmanager
def clients(load: Load, count: int, seed: int) -> Iterator[None]:
    """So many clients at work inside the block; afterwards each has followed its last job to the end."""
    load.server.client()
    with ThreadPoolExecutor(count) as pool:
        working: list[Future[None]] = [pool.submit(load.work, each, seed) for each in range(count)]
        try:
            yield
        finally:
            load.over.set()
        for each in working:
            each.result()
