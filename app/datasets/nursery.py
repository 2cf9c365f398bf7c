"""The children that parse: one process forks them, has imported what they need, and reads no file itself."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.confinement import bare_environment

ANSWER_LIMIT = 64 << 20
READY_SECONDS = 30.0
STOP_SECONDS = 0.2
"""A child that is not wanted any more is killed within it."""


class Child:
    """A process that waits for its one request, or answers it, until `end`.

    It speaks through ``talk``; when ``leash`` is let go its parent kills it, and lets go too when it is dead.
    """

    def __init__(self, talk: socket.socket, leash: socket.socket) -> None:
        self._talk = talk
        self._leash = leash
        self._waiting = select.poll()  # select() takes no descriptor beyond 1,023
        self._waiting.register(talk, select.POLLIN)
        self.pid = 0
        """Known once it is ready."""

    def is_ready(self, seconds: float = READY_SECONDS) -> bool:
        """Whether it takes a request, by then."""
        if not self.pid:
            told = self._talk.recv(64) if self._waiting.poll(seconds * 1000) else b""
            self.pid = int(told or 0)
        return self.pid > 0 and not any(event & select.POLLHUP for _, event in self._waiting.poll(0))

    def ask(self, request: bytes, wall_seconds: float, stop: threading.Event | None) -> bytes | None:
        """Its answer, empty if it died without one; None if it took too long or said too much."""
        deadline = time.monotonic() + wall_seconds
        answer = bytearray()
        try:
            self._talk.sendall(request + b"\n")
            while (left := deadline - time.monotonic()) > 0 and len(answer) <= ANSWER_LIMIT:
                if stop is not None:
                    left = min(left, STOP_SECONDS)
                    if stop.is_set():
                        return None
                if self._waiting.poll(left * 1000):
                    block = self._talk.recv(1 << 20)
                    if not block:
                        return bytes(answer)
                    answer += block
        except (BrokenPipeError, ConnectionResetError):
            return bytes(answer)
        return None

    def kill(self) -> None:
        """Does not wait for its end; from any thread."""
        self._leash.shutdown(socket.SHUT_WR)

    def end(self) -> int:
        """Kill it unless it is dead, and wait until it is. The signal that it died by, 0 for none."""
        with self._talk, self._leash as leash:
            leash.shutdown(socket.SHUT_WR)
            told = leash.recv(1)
        return told[0] if told else signal.SIGKILL  # as its parent's children die


class Nursery:
    """Starts children for files ``within`` a directory. Thread-safe.

    ``module`` is what they run: see `child`. Its process starts with the first, and again should it die.
    """

    def __init__(self, within: Path, module: str) -> None:
        self._within = within
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def child(self) -> Child:
        """A new one: `Child.is_ready` says whether it came to life."""
        talk, its_talk = socket.socketpair()
        leash, its_leash = socket.socketpair()
        with self._lock, its_talk, its_leash:
            parts = [its_talk.fileno(), its_leash.fileno()]
            try:
                socket.send_fds(self._open(), [b"+"], parts)
            except (BrokenPipeError, ConnectionResetError):  # it died since we looked
                self._close()
                socket.send_fds(self._open(), [b"+"], parts)
        return Child(talk, leash)

    def close(self) -> None:
        """End the process, and with it all children. The next child starts another."""
        with self._lock:
            self._close()

    def _open(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._close()
        if self._channel is None:
            self._channel, theirs = socket.socketpair()
            with theirs:
                self._process = _start(self._within, self._module, theirs)
        return self._channel

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()  # it may be busy with its imports; its children die with it
            self._process.wait()
        self._channel = self._process = None


def _start(within: Path, module: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    threads = {"POLARS_MAX_THREADS": str(min(4, os.cpu_count() or 1))}
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", module, str(within)],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=bare_environment() | threads,
        cwd="/",
        start_new_session=True,
    )
