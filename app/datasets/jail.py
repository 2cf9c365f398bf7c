"""Parses uploads in child processes, which can crash, hang or run out of memory without harm to this one."""

import errno
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.confinement import MODE
from app.errors import ChainruleError, Fault, InvalidDataset, TooLarge, Unavailable

ROOT = Path(__file__).parents[2]
MODULE = "app.datasets.child"
ANSWER_LIMIT = 64 << 20
STOP_SECONDS = 0.2
"""A child that is not wanted any more is killed within it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one parse may take; seconds of CPU and of the wall clock, bytes of address space and per file."""

    memory_bytes: int = 4 << 30
    cpu_seconds: int = 300
    wall_seconds: float = 300.0
    file_bytes: int = 8 << 30
    max_columns: int = 5_000
    max_expanded_bytes: int = 4 << 30
    max_ratio: int = 200


@dataclass(frozen=True, slots=True)
class ParseRequest:
    """``columns`` corrects types: {"zip": {"type": "category"}}, over those of a JSON envelope; ``charset``
    is what the client says of text.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    charset: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was found. ``columns`` and ``warnings`` are the API's JSON objects; see `profile`.

    ``sha256`` covers the content, not the bytes: see `table.fingerprint`. ``envelope`` has a JSON upload's
    own "name", "metadata" and "shared", as they came. ``parquet`` and ``table`` lie in the directory that
    was given.
    """

    row_count: int
    sha256: str
    columns: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    envelope: dict[str, Any]
    parquet: Path
    table: Path


class Jail:
    """Keeps one child warm, since starting one costs several times what a small file does. Thread-safe.

    Children see no other files than those ``within`` a directory, and cannot list them.
    Without `keep_spare` they start on demand, for a process that has one file to read. ``module`` is what
    they run: it may know more requests than those of `child`. ``outcomes`` counts parses: ``read``,
    ``refused`` (the file is to blame) and ``failed``.
    """

    def __init__(
        self,
        within: Path,
        limits: Limits | None = None,
        *,
        keep_spare: bool = True,
        module: str = MODULE,
    ) -> None:
        self._within = within
        self._module = module
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._keeps_spare = keep_spare
        self._closed = False
        self.outcomes = Counter[str]()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._spare: subprocess.Popen[bytes] | None = None
        self._refill()

    def parse(self, path: Path, directory: Path, request: ParseRequest | None = None) -> Parsed:
        """Parses the upload at `path` and writes the Parquet and the table into `directory`, which exists.

        `InvalidDataset` says what is wrong with the file, or that it takes more than the limits; `TooLarge`
        that its gzip expands too far. `OSError` (ENOSPC): the disk is full.
        """
        limits, request = self._limits, request or ParseRequest()
        arguments = {
            "corrections": request.columns,
            "charset": request.charset,
            "max_columns": limits.max_columns,
            "max_expanded_bytes": limits.max_expanded_bytes,
            "max_ratio": limits.max_ratio,
        }
        outcome = "failed"
        try:
            found = self.run("parse", path, directory, arguments)
            outcome = "read"
        except (InvalidDataset, TooLarge):
            outcome = "refused"
            raise
        finally:
            with self._lock:
                self.outcomes[outcome] += 1
        return Parsed(**found, parquet=directory / "table.parquet", table=directory / "table.safetensors")

    def retype(self, parquet: Path, directory: Path, columns: dict[str, Any]) -> Parsed:
        """As `parse`, of a dataset's own Parquet: these columns get other types, all others stay."""
        found = self.run("retype", parquet, directory, {"corrections": columns})
        return Parsed(**found, parquet=directory / "table.parquet", table=directory / "table.safetensors")

    def rebuild(self, parquet: Path, directory: Path) -> Path:
        """Writes the table of a dataset of which only the Parquet is here; returns its path."""
        self.run("rebuild", parquet, directory, {})
        return directory / "table.safetensors"

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def busy(self) -> int:
        """Files that are being read just now."""
        return len(self._running)

    def close(self) -> None:
        """Ends every child; a parse under way is `Unavailable`. For good."""
        with self._lock:
            self._closed, self._keeps_spare = True, False
            spare, self._spare = self._spare, None
            for child in self._running:
                child.kill()
        if spare:
            _end(spare)

    def run(
        self,
        verb: str,
        path: Path,
        directory: Path,
        arguments: dict[str, Any],
        stop: threading.Event | None = None,
    ) -> dict[str, Any]:
        """What a child answers to a request about the file at `path`; raises as `parse` does.

        Once ``stop`` is set, the child is killed, and this raises `Unavailable`.
        """
        limits = self._limits
        request = {
            "verb": verb,
            "path": str(path),
            "directory": str(directory),
            "arguments": arguments,
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            "file_bytes": limits.file_bytes,
        }
        child = self._take()
        with self._lock:
            self._running.add(child)
        try:
            answer = _ask(child, request, limits.wall_seconds, stop)
        finally:
            with self._lock:
                self._running.discard(child)
            _end(child)
            self._refill()
        if self._closed:
            raise Unavailable("The server is shutting down.")
        if stop is not None and stop.is_set():
            raise Unavailable("It was stopped.")
        return _read_answer(answer)

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare and spare.poll() is None:
            return spare
        if spare:
            _end(spare)
        return _start(self._within, self._module)

    def _refill(self) -> None:
        """After the parse, so that the start of the next child does not compete with it for a core."""
        with self._lock:
            if self._spare is None and self._keeps_spare:
                self._spare = _start(self._within, self._module)


def _start(within: Path, module: str = MODULE) -> subprocess.Popen[bytes]:
    environment = {
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": str(min(4, os.cpu_count() or 1)),
    }
    for name in ("LD_LIBRARY_PATH", MODE):  # some Pythons do not start without the first
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", module, str(within)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def _ask(
    child: subprocess.Popen[bytes],
    request: dict[str, Any],
    wall_seconds: float,
    stop: threading.Event | None,
) -> bytes | None:
    """The child's answer, empty if it died without one; None if it took too long or said too much."""
    assert child.stdin
    assert child.stdout
    deadline = time.monotonic() + wall_seconds
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return b""
    answer = bytearray()
    waiting = select.poll()  # select() takes no descriptor beyond 1,023
    waiting.register(child.stdout, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and len(answer) <= ANSWER_LIMIT:
        if stop is not None:
            left = min(left, STOP_SECONDS)
            if stop.is_set():
                return None
        if waiting.poll(left * 1000):
            block = os.read(child.stdout.fileno(), 1 << 20)
            if not block:
                return bytes(answer)
            answer += block
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    with child:  # closes the pipes and waits
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _read_answer(answer: bytes | None) -> dict[str, Any]:
    if answer is None:
        raise _beyond_limits("it takes too long or describes itself at too great a length")
    try:
        said = json.loads(answer)
    except ValueError:
        raise _beyond_limits("reading it took more memory or time than is allowed") from None
    if "done" in said:
        done: dict[str, Any] = said["done"]
        return done
    if "exhausted" in said:
        raise _beyond_limits(f"reading it took more {said['exhausted']} than is allowed")
    if "full" in said:
        raise OSError(errno.ENOSPC, "no space left to write what was parsed")
    if "crashed" in said:
        logger.error("parsing failed unexpectedly", extra={"traceback": said["crashed"]})
        raise InvalidDataset(None, Fault("file", "unreadable_file", "The file could not be read."))
    family: type[ChainruleError] = TooLarge if said["refused"] == TooLarge.code else InvalidDataset
    raise family(said["detail"], *(Fault(**fault) for fault in said["faults"]))


def _beyond_limits(why: str) -> InvalidDataset:
    message = f"The file could not be read within this server's limits: {why}."
    return InvalidDataset(None, Fault("file", "parse_limit", message, "Send fewer rows or columns."))
