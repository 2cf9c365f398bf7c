"""Room on the disk of the data directory: a reserve that nothing new may use, and a ballast to throw off.

Whoever creates something asks for room first, so that the reserve stays for what was begun before. Should the
disk be filled to the last byte all the same, by us or by others, the ballast is given up: a deletion or a
change of state needs room in SQLite's journal, too.
"""

import errno
import logging
import os
import secrets
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.errors import DiskFull

log = logging.getLogger(__name__)

LEAST_RESERVE, MOST_RESERVE = 256 * 2**20, 2**30
RESERVE_SHARE = 100
BALLAST_BYTES = 16 * 2**20
LEAST_MARGIN = 2**20

POSTGRES_FULL = "53100"
SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE = 13, 778, 4874
"""SQLite says FULL where the disk is, IOERR_WRITE where a quota is used up, SHMSIZE for its shared index."""


class Disk:
    """The file system that ``directory`` lies on, which exists. Thread-safe.

    ``reserve_bytes``: so much of it is kept free; None takes a hundredth of the file system, but at least
    256 MiB and at most 1 GiB.
    """

    def __init__(self, directory: Path, reserve_bytes: int | None = None) -> None:
        self._directory = directory
        self._ballast = directory / "ballast"
        if reserve_bytes is None:
            size = os.statvfs(directory)
            share = size.f_blocks * size.f_frsize // RESERVE_SHARE
            reserve_bytes = min(max(share, LEAST_RESERVE), MOST_RESERVE)
        self.reserve_bytes = reserve_bytes
        self._was_low = False

    def free(self) -> int:
        """Bytes that may still be written. Asking takes a microsecond or two."""
        found = os.statvfs(self._directory)
        free = found.f_bavail * found.f_frsize
        self._tell(free)
        return free

    def is_low(self) -> bool:
        """Whether nothing new is taken for want of room."""
        return self.free() < self.reserve_bytes

    def is_roomy(self) -> bool:
        """Whether there is so much room that what was held up may go on, and not be held up again at once."""
        return self.free() >= self.reserve_bytes + max(self.reserve_bytes // 4, LEAST_MARGIN)

    def require(self, size: int = 0) -> None:
        """Raise DiskFull unless ``size`` bytes can be written without touching the reserve."""
        free = self.free()
        if free - size < self.reserve_bytes:
            raise DiskFull(free_bytes=free, needed_bytes=self.reserve_bytes + size)

    def take_ballast(self) -> None:
        """Lay the ballast in, if it is not there and there is room for it."""
        size = min(BALLAST_BYTES, self.reserve_bytes // 4)
        if not size or self._ballast.exists() or self.free() < self.reserve_bytes + size:
            return
        partial = self._ballast.with_name(f".ballast.{secrets.token_hex(4)}")
        try:
            with partial.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.write(os.urandom(size))  # zeros might take no room
            partial.rename(self._ballast)
        except OSError as error:
            if not is_full(error):
                raise
        finally:
            partial.unlink(missing_ok=True)

    def drop_ballast(self) -> bool:
        """Give it up; return whether there was any, so that what failed is worth another try."""
        try:
            self._ballast.unlink()
        except (FileNotFoundError, PermissionError):  # a trainer's walls may leave that to others
            return False
        log.warning("the disk is full: the ballast was given up, so that deletions go through")
        return True

    def _tell(self, free: int) -> None:
        low = free < self.reserve_bytes
        if low != self._was_low:
            self._was_low = low
            level, word = (logging.WARNING, "low") if low else (logging.INFO, "enough again")
            log.log(level, "room on the disk is %s: %d bytes are free", word, free)


def is_full(error: BaseException) -> bool:
    """Whether this is for want of room on a disk, ours or the database's."""
    if isinstance(error, DiskFull):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not isinstance(error, DBAPIError):
        return False
    if getattr(error.orig, "sqlstate", None) == POSTGRES_FULL:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code in (SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE)
