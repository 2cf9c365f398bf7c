"""Clients that speak HTTP by hand, and badly."""

import json
import random
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

KEY = "a-key-for-the-wire"
HOST = b"Host: 127.0.0.1\r\n"
AUTHORISED = HOST + b"Authorization: Bearer " + KEY.encode() + b"\r\n"
JSON = b"Content-Type: application/json\r\n"


class Reply(NamedTuple):
    """An answer as it came. ``seconds``: until it, or the end of the connection, was there."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """Its problem document, which has what every one has."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert (document["status"], document["code"]) == (status, code)
        assert document["request_id"] == self.headers["x-request-id"]
        assert self.headers["x-content-type-options"] == "nosniff"
        return document


class Wire(NamedTuple):
    """A server's port, and how many connections it has."""

    port: int
    connections: Callable[[], int]

    def connect(self) -> socket.socket:
        return connect(self.port)

    def ask(self, *parts: bytes) -> list[Reply]:
        """Every answer until the server closes. The parts are sent a tenth of a second apart."""
        with self.connect() as client:
            start = time.monotonic()
            for number, part in enumerate(parts):
                time.sleep(0.1 if number else 0)
                client.sendall(part)
            return replies(client, start)


def connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def head(method: str, path: str, *lines: bytes) -> bytes:
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(lines) + b"\r\n"


def replies(client: socket.socket, start: float | None = None) -> list[Reply]:
    """Every answer until the server closes, in order: all of them with a Content-Length."""
    start = time.monotonic() if start is None else start
    content = b""
    while block := client.recv(2**16):
        content += block
    took = time.monotonic() - start
    found = []
    while content:
        first, _, rest = content.partition(b"\r\n\r\n")
        lines = first.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        found.append(Reply(int(lines[0].split()[1]), headers, rest[:length], took))
        content = rest[length:]
    return found


def closed(client: socket.socket, seconds: float) -> float:
    """Seconds until the server has ended the connection. Raises TimeoutError."""
    start = time.monotonic()
    client.settimeout(seconds)
    try:
        while client.recv(2**16):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - start


def large_content() -> bytes:
    """A CSV whose Parquet has some six megabytes: a system keeps less for a client that takes nothing."""
    draw = random.Random(0)
    return b"x,y\n" + b"".join(b"%.15f,%.15f\n" % (draw.random(), draw.random()) for _ in range(400_000))


def content_path(client: socket.socket) -> str:
    """Uploads that CSV, and closes; the path of its Parquet."""
    content, last = large_content(), b"Content-Type: text/csv\r\nConnection: close\r\n"
    length = f"Content-Length: {len(content)}\r\n".encode()
    client.sendall(head("POST", "/v1/datasets", AUTHORISED, last, length) + content)
    (reply,) = replies(client)
    assert reply.status == 201, reply
    return f"{reply.headers['location']}/content"
