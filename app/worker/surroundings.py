"""What supervisor and trainer need from outside, as plain values that a spawned process can be given."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import Disk

SPARE_BYTES = 64 * 2**20
LEAST_SECONDS = 2.0
"""However short the lease: a busy host may need as long for a statement."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    url: str
    data_dir: Path
    slots: int
    lease_seconds: float
    snapshot_seconds: float
    disk_reserve_bytes: int | None
    memory_bytes: int
    """The most that a job may need; see `limit_memory`."""
    trainer_nice: int = 0
    max_running_jobs: int | None = None
    log_format: str = "auto"
    stall_seconds: float = 120.0
    """A trainer that has used no processor time for so long is killed."""

    def database(self) -> Database:
        """For one process of a worker: it must learn of a lost connection while it still has its lease, and
        not keep the locks of a transaction for longer than that."""
        lease = self.lease_seconds
        patience, idle = max(LEAST_SECONDS, lease / 3), max(LEAST_SECONDS, lease / 2)
        database = Database(self.url, 2, patience, idle)
        database.relieve = self.disk().drop_ballast
        return database

    def disk(self) -> Disk:
        return Disk(self.data_dir, self.disk_reserve_bytes)

    def blobs(self, database: Database) -> Blobs:
        return Blobs(database, self.data_dir / "blobs", self.lease_seconds)

    @property
    def cache(self) -> Path:
        return self.data_dir / "cache"

    @property
    def locks(self) -> Path:
        return self.data_dir / "workers"


@contextlib.contextmanager
def limit_memory(size: int) -> Iterator[None]:
    """Have MemoryError where this process, or one that is forked meanwhile, takes so much more (Linux only).

    It is address space that is counted: what is reserved and never used, too. Hence a quarter more, and a
    little for what the interpreter may still load.
    """
    if sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + size * 5 // 4 + SPARE_BYTES
    others = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *others]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
