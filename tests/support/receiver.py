"""A real receiver of webhooks on loopback: it keeps what comes, and answers as it is told."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Arrived(NamedTuple):
    """A message: its headers in lower case, its body as it came, and the path that it came to."""

    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)["data"]
        return event

    def is_signed_with(self, secret: str) -> bool:
        """By the standard's own words, and not by our code."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(self.headers["webhook-timestamp"])) < 60
        return fresh and f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


class Receiver:
    """``answer`` gives the status for a message; it may also take its time."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.answer: Callable[[Arrived], int] = lambda _: 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                message = Arrived(headers, body, self.path)
                receiver.arrived.append(message)
                status = receiver.answer(message)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A sender that was killed is part of the test."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def of(self, job_id: str) -> list[int]:
        """The sequence numbers of a job's messages, as they came."""
        return [each.event["seq"] for each in list(self.arrived) if each.event["job_id"] == job_id]

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        self._thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
