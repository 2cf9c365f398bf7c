"""One clock for all processes of a host that no step of the wall clock moves: SQLite's leases go by it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def host_clock(path: Path) -> Callable[[], float]:
    """A function of seconds since 1970: as the wall clock had them once, monotonic from there.

    ``path`` keeps that moment: whoever asks first after the host was started writes it, all others read it.
    What was timed before a restart may lie in the future: a lease is held against the longest that there is.
    Where the kernel does not say when it was started (it is not Linux), this is the wall clock.
    """
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        return time.time
    offset = time.time() - time.monotonic()
    with contextlib.suppress(OSError):  # no room for 60 bytes: until a restart the wall clock has to do
        offset = _agreed(path, boot, offset)
    return lambda: offset + time.monotonic()


def _agreed(path: Path, boot: str, offset: float) -> float:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known, _, kept = file.read().partition(" ")
        if known == boot:
            with contextlib.suppress(ValueError):
                return float(kept)
        file.seek(0)
        file.truncate()
        file.write(f"{boot} {offset!r}")
    return offset
