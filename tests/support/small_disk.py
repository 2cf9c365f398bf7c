"""A disk of a few megabytes, and files that fill it."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

NEW_MOUNTS = 0x20000
_state = {"apart": False}


def _live_apart() -> bool:
    """Have mounts of our own: nobody else sees them, and they go with this process and its children."""
    if not _state["apart"] and ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS) == 0:
        private = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False)
        _state["apart"] = private.returncode == 0
    return _state["apart"]


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes at an empty directory; skips the test where there can be none."""
    place.mkdir(parents=True, exist_ok=True)
    if os.name != "posix" or not hasattr(ctypes.CDLL(None), "unshare") or not _live_apart():
        pytest.skip("mounting a small disk needs Linux and root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=True)


def free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def fill(place: Path, leave: int = 0) -> Path:
    """Fill the disk but for ``leave`` bytes; the file that does it."""
    filler = place / "filler"
    with filler.open("ab") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, filler.stat().st_size + max(0, free(place) - leave))
    if leave == 0:  # whatever was freed meanwhile, to the last byte
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
    return filler
