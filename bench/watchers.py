"""Pollers and event streams in one process that does as little as it can: it runs on the server's own cores.

    python -m bench.watchers PLAN       see `bench.watching`, which starts it

Prints one JSON line: percentiles of the answers' time and of the events' way to us, in milliseconds.
"""

import asyncio
import json
import re
import sys
import time
from collections import deque
from datetime import datetime
from typing import Any

import uvloop

EVENT = re.compile(rb'id: (\d+)\nevent: \S+\ndata: [^\n]{0,200}?"created_at":"([^"]{27})"')
ETAG = re.compile(rb"\r\netag: ([^\r]+)")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
TAIL = 300
"""Bytes in which an event's beginning may be, whose rest has not come yet."""


class Poller(asyncio.Protocol):
    """Asks for a job once a second, on one connection, with the ETag of the last answer."""

    def __init__(self, watchers: "Watchers", head: bytes) -> None:
        self._watchers, self._head = watchers, head
        self._etag = b""
        self._received = b""
        self._sent_at: deque[float] = deque()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self) -> None:
        if self._watchers.over:
            return
        if self._sent_at:
            self._watchers.late += 1
        known = b"If-None-Match: %b\r\n" % self._etag if self._etag else b""
        self._sent_at.append(time.perf_counter())
        self._transport.write(self._head + known + b"\r\n")
        self._watchers.loop.call_later(1.0, self.ask)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._take_answer():
            pass

    def _take_answer(self) -> bool:
        """One of those received, if it is there as a whole."""
        head, found, body = self._received.partition(b"\r\n\r\n")
        status, length = head[9:12], LENGTH.search(head)
        size = int(length[1]) if length and status != b"304" else 0
        if not found or len(body) < size:
            return False
        self._received = body[size:]
        sent_at = self._sent_at.popleft()
        if self._watchers.counting:
            self._watchers.answers.append(time.perf_counter() - sent_at)
        if status not in (b"200", b"304"):
            self._watchers.errors += 1
        self._watchers.unchanged += status == b"304"
        etag = ETAG.search(head)
        self._etag = etag[1] if etag else b""
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self._watchers.errors += not self._watchers.over


class Stream(asyncio.Protocol):
    """Takes events as they come; each must follow the one before."""

    def __init__(self, watchers: "Watchers", head: bytes) -> None:
        self._watchers, self._head = watchers, head
        self._last = 0
        self._rest = b""

    def connection_made(self, transport: Any) -> None:  # uvloop's own kind
        transport.write(self._head + b"Accept: text/event-stream\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        moment = time.time()
        received = self._rest + data
        end = 0
        for event in EVENT.finditer(received):
            end = event.end()
            seq = int(event[1])
            self._watchers.errors += bool(self._last) and seq != self._last + 1
            self._last = seq
            if self._watchers.counting:
                self._watchers.lags.append(moment - datetime.fromisoformat(event[2].decode()).timestamp())
        self._rest = received[max(end, len(received) - TAIL) :]

    def connection_lost(self, _: Exception | None) -> None:
        self._watchers.errors += not self._watchers.over


class Watchers:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self.counting = self.over = False
        self.answers: list[float] = []
        self.lags: list[float] = []
        self.errors = self.late = self.unchanged = 0

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        plan = self._plan
        begun, used = time.perf_counter(), time.process_time()
        for index in range(plan["streams"]):
            await self._connect(Stream, index, "/events")
        pollers = [await self._connect(Poller, index, "") for index in range(plan["pollers"])]
        for index, poller in enumerate(pollers):
            self.loop.call_later(index / len(pollers), poller.ask)
        await asyncio.sleep(max(0.0, plan["begin"] - (time.perf_counter() - begun)))
        self.counting = True
        begun, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(plan["seconds"] - plan["begin"])
        passed = time.perf_counter() - begun
        self.over = True
        report = {
            "polls_per_second": len(self.answers) / passed,
            **percentiles("poll_ms", self.answers),
            "events_per_second": len(self.lags) / passed,
            **percentiles("event_lag_ms", self.lags),
            "errors": self.errors,
            "late": self.late,
            "unchanged": self.unchanged,
            "cpu_seconds_per_second": (time.process_time() - used) / passed,
        }
        sys.stdout.write(json.dumps(report) + "\n")

    async def _connect(self, kind: Any, index: int, part: str) -> Any:
        plan = self._plan
        job, key = plan["jobs"][index % len(plan["jobs"])], plan["keys"][index % len(plan["keys"])]
        lines = f"Host: localhost\r\nAuthorization: Bearer {key}\r\n"
        head = f"GET /v1/jobs/{job}{part} HTTP/1.1\r\n{lines}".encode()
        _, protocol = await self.loop.create_connection(lambda: kind(self, head), "127.0.0.1", plan["port"])
        return protocol


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        f"{name}_{word}": 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]
        for word, part in places.items()
    }


if __name__ == "__main__":
    uvloop.run(Watchers(json.loads(sys.argv[1])).run())
