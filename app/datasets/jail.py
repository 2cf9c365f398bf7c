"""Parses uploads in child processes, which can crash, hang or run out of memory without harm to this one."""

import errno
import json
import logging
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.datasets.nursery import Child, Nursery
from app.errors import ChainruleError, Fault, InvalidDataset, TooLarge, Unavailable

MODULE = "app.datasets.child"

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
    is what the client says of text; ``own``: it is a Parquet that was written here.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    charset: str | None = None
    own: bool = False


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


class Killed(InvalidDataset):
    """Somebody has killed the child: the system for want of memory, or a person."""


class Jail:
    """Keeps one child ready, since bringing one to life takes as long as a small file does. Thread-safe.

    Children see no other files than those ``within`` a directory, and cannot list them. Without `keep_spare`
    nothing is left between files, for a process that has one of them to read. ``module`` is what they run: it
    may know more requests than those of `child`. ``outcomes`` counts parses: ``read``, ``refused`` (the file
    is to blame) and ``failed``.
    """

    def __init__(
        self,
        within: Path,
        limits: Limits | None = None,
        *,
        keep_spare: bool = True,
        module: str = MODULE,
    ) -> None:
        self._limits = limits or Limits()
        self._nursery = Nursery(within, module)
        self._lock = threading.Lock()
        self._keeps_spare = keep_spare
        self._closed = False
        self.outcomes = Counter[str]()
        self._busy = 0
        self._running: set[Child] = set()
        self._spare: Child | None = None
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
            "own": request.own,
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
        return self._busy

    def close(self) -> None:
        """Ends every child; a parse under way is `Unavailable`. For good."""
        with self._lock:
            self._closed, self._keeps_spare = True, False
            spare, self._spare = self._spare, None
            for child in self._running:
                child.kill()
        if spare:
            spare.end()
        self._nursery.close()

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
        with self._lock:
            self._busy += 1
        try:
            answer = self._ask(json.dumps(request).encode(), stop)
        finally:
            with self._lock:
                self._busy -= 1
            self._refill()
        if self._closed:
            raise Unavailable("The server is shutting down.")
        if stop is not None and stop.is_set():
            raise Unavailable("It was stopped.")
        return _read_answer(answer)

    def _ask(self, request: bytes, stop: threading.Event | None) -> bytes | None:
        child = self._take()
        with self._lock:
            self._running.add(child)
        try:
            answer = child.ask(request, self._limits.wall_seconds, stop)
        finally:
            with self._lock:
                self._running.discard(child)
            died_by = child.end()
        if answer == b"" and died_by == signal.SIGKILL and not self._closed:
            raise _beyond_limits("reading it took more memory than there is", Killed)
        return answer

    def _take(self) -> Child:
        with self._lock:
            spare, self._spare = self._spare, None
        for _ in range(3):  # a spare, one of a parent that is dying, and one of a new parent
            child = spare or self._nursery.child()
            if child.is_ready():
                return child
            child.end()
            spare = None
        raise Unavailable("No process came to life to read the file; please try again.")

    def _refill(self) -> None:
        """After the parse, so that the start of the next child does not compete with it for a core."""
        with self._lock:
            if self._spare is None and self._keeps_spare:
                self._spare = self._nursery.child()
            elif not self._keeps_spare and not self._busy:
                self._nursery.close()


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


def _beyond_limits(why: str, family: type[InvalidDataset] = InvalidDataset) -> InvalidDataset:
    message = f"The file could not be read within this server's limits: {why}."
    return family(None, Fault("file", "parse_limit", message, "Send fewer rows or columns."))
