"""Keeps one child process running: another is started when it ends by itself, and it is stopped with us."""

import contextlib
import logging
import subprocess
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

RESTART_PAUSE_SECONDS = 1.0


class Keeper:
    """``command`` gives the arguments of `subprocess.Popen` for each new child, which is to end when its
    standard input does; ``ended`` is called after one has ended by itself."""

    def __init__(
        self, name: str, command: Callable[[], dict[str, Any]], ended: Callable[[], None] | None = None
    ) -> None:
        self._name = name
        self._command = command
        self._ended = ended
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeper of the {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """Write a byte to the child; it may get lost."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(b"!")

    def begin_stop(self) -> None:
        """SIGTERM to the child, and no other after it."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def stop(self, seconds: float) -> None:
        """Wait until the child has gone; kill it after ``seconds``."""
        self.begin_stop()
        self._thread.join(seconds)
        if self._thread.is_alive() and self._process is not None:
            self._process.kill()
            self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(**self._command(), stdin=subprocess.PIPE, bufsize=0)
            code = self._process.wait()
            if self._stopping.is_set():
                return
            log.error("the %s ended with %s: another is started", self._name, code)
            if self._ended is not None:
                self._ended()
            self._stopping.wait(RESTART_PAUSE_SECONDS if code >= 0 else 0.0)
