"""Files that are whole when they have their name, whatever is killed when."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.backups.flow import Refused


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that has its name when the block ends, and is on the disk then; else it is not there at all.

    Raises Refused where there is one of that name already.
    """
    if path.exists():
        raise Refused(f"{path} exists: name another file.")
    if not path.parent.is_dir():
        raise Refused(f"There is no directory {path.parent}.")
    partial = path.with_name(f"{path.name}.partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        if not alone(file, partial):
            raise Refused(f"Another process writes {path} already.")
        try:
            file.truncate()  # of one that was killed
            yield file
            file.flush()
            os.fsync(file.fileno())
            publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def alone(file: IO[bytes], path: Path) -> bool:
    """Lock a file that was opened by that path; False where another has the lock, or had it and is done."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def publish(partial: Path, path: Path) -> None:
    """Give a whole file its name. Raises Refused where another has it by now."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise Refused(f"{path} exists: name another place.") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        os.rename(partial, path)  # a disk without links, as of a camera
    partial.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
