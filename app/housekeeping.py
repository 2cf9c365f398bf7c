"""What a server does beside its work: takes away what nothing needs any more, and looks after the ballast."""

import logging
import math
import threading
import time
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app import retention
from app.datasets import content, storing
from app.jobs import leftovers, workers
from app.keys import idempotency
from app.keys.uses import Uses
from app.retention import Keep
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.scope import whole_server
from app.storage.sweep import GRACE_SECONDS, Sweep
from app.uploads import service as uploads
from app.uploads.service import Files

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 600.0
SHORT_OF_ROOM_SECONDS = 10.0
DISK_SECONDS = 1.0
LEASES_SECONDS = 5.0
NOTHING_GOES = Keep()


class Housekeeping(threading.Thread):
    """Takes away what nothing names and keys whose time is up, at the start and every ten minutes; where room
    is short every ten seconds, and files of the last hour, too. Looks after the ballast, and writes down when
    keys were used. What is older than ``keep`` goes, too.

    Several processes may do so for one database, and on one host.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        disk: Disk,
        cache: Path,
        incoming: Path,
        uses: Uses | None = None,
        keep: Keep = NOTHING_GOES,
    ) -> None:
        super().__init__(name="housekeeping", daemon=True)
        self._database = database
        self._disk = disk
        self._cache = cache
        self._incoming = incoming
        self._files = Files(incoming.parent)
        self._unnamed = Sweep(blobs)
        self._uses = uses
        self._blobs = blobs
        self._keep = keep
        self.over = threading.Event()

    def run(self) -> None:
        with whole_server():
            self._keep_house()

    def _keep_house(self) -> None:
        swept_at = looked_at = -math.inf
        all_gone = True
        while True:
            moment = time.monotonic()
            try:
                low = self._disk.is_low()
                self._disk.take_ballast()
                if self._uses is not None:
                    self._uses.write()
                if moment - looked_at >= LEASES_SECONDS:
                    looked_at = moment
                    storing.sweep(self._database)
                if moment - swept_at >= (SHORT_OF_ROOM_SECONDS if low else HOUSEKEEPING_SECONDS):
                    swept_at = moment
                    self._sweep(SHORT_OF_ROOM_SECONDS if low else GRACE_SECONDS)
                    if low:
                        self._database.shrink()
                    all_gone = False
                if not all_gone:
                    all_gone = True  # where it fails, the next time is the usual one
                    all_gone = retention.sweep(self._blobs, self._keep).all_gone
            except (SQLAlchemyError, OSError):
                log.warning("housekeeping was put off", exc_info=True)
            if self.over.wait(DISK_SECONDS):
                return

    def _sweep(self, grace_seconds: float) -> None:
        self._unnamed.run(grace_seconds)
        idempotency.sweep(self._database)
        workers.sweep(self._database)
        leftovers.sweep(self._database)
        uploads.sweep(self._database, self._files)
        content.sweep(self._database, self._cache, self._incoming, GRACE_SECONDS, grace_seconds)
