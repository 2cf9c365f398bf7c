"""Has exports written and imports read in child processes, which can crash or run out of memory."""

import errno
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from app import errors
from app.confinement import bare_environment
from app.errors import ChainruleError, Fault, Invalid, Unavailable
from app.models.at_once import AtOnce

AT_ONCE = 2
PATIENCE_SECONDS = 20.0
WALL_SECONDS = 120.0
LIMITS = {"cpu_seconds": 120, "memory_bytes": 4 << 30}

log = logging.getLogger(__name__)


class Workshop:
    """Two children at most; who comes while both are busy waits a while. Thread-safe."""

    def __init__(self, within: Path) -> None:
        self.within = within
        self._turns = AtOnce(AT_ONCE, PATIENCE_SECONDS, "exports and imports")
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def do(self, **request: Any) -> dict[str, Any]:
        """The child's answer. Raises what it raises; Invalid where it takes too much; Unavailable."""
        with self._turns.turn():
            if self._closed:
                raise Unavailable("The server is shutting down.")
            with subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "app.exports.child", str(self.within)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=bare_environment(),
                cwd="/",
                start_new_session=True,
            ) as child:
                self._running.add(child)
                try:
                    answer, _ = child.communicate(json.dumps(request | LIMITS).encode() + b"\n", WALL_SECONDS)
                except subprocess.TimeoutExpired:
                    raise _beyond("time") from None
                finally:
                    self._running.discard(child)
                    child.kill()
        if self._closed:
            raise Unavailable("The server is shutting down.")
        return _read(answer)

    def close(self) -> None:
        """End every child; what is under way is `Unavailable`. For good."""
        self._closed = True
        for child in [*self._running]:
            child.kill()


def _read(answer: bytes) -> dict[str, Any]:
    try:
        said = json.loads(answer)
    except ValueError:
        raise _beyond("memory or time") from None
    if "done" in said:
        done: dict[str, Any] = said["done"]
        return done
    if "exhausted" in said:
        raise _beyond(said["exhausted"])
    if "refused" in said:
        family: type[ChainruleError] = getattr(errors, said["refused"])
        raise family(said["detail"], *(Fault(**fault) for fault in said["faults"]))
    if said.get("failed") in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(said["failed"], "no space left to write a model")
    log.error("a model could not be written or read", extra={"traceback": said["crashed"]})
    raise ChainruleError


def _beyond(what: str) -> Invalid:
    message = f"The model takes more {what} than is allowed here."
    return Invalid(message, Fault("model", "parse_limit", message))
