"""What a trainer has to write of its job, gathered until it is written."""

import time
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from app.engine import Epoch, Parameters, Snapshot
from app.jobs import history, keeping, snapshots
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.storage.blobs import Blobs, Staged
from app.storage.database import Database
from app.worker.tally import Tally


class Journal:
    """Epochs and snapshots of one claim; ``facts`` are columns of the job that its first writing fills.

    ``patience``: seconds for which it is tried again while the database is away. ``tally`` counts what was
    written: of epochs those behind ``recorded``, which the job's history has already.
    """

    def __init__(self, database: Database, blobs: Blobs, claim: Claim, patience: float, tally: Tally) -> None:
        self.facts: dict[str, Any] = {}
        self.recorded = 0
        self._tally = tally
        self._dump_seconds = 0.0
        self._database = database
        self._blobs = blobs
        self._claim = claim
        self._patience = patience
        self._epochs: list[Epoch] = []
        self._places: list[Place] = []
        self._waiting_bytes = 0
        self.is_heavy = False
        """Whether what waits takes so much memory that it is to be written now."""

    @property
    def is_empty(self) -> bool:
        return not self._epochs and not self._places

    def note(self, epoch: Epoch) -> None:
        """Keep an epoch; it becomes a row with many others, which takes a third of the time."""
        self._epochs.append(epoch)

    def take(self, snapshot: Snapshot, *, kept: bool = False) -> None:
        """Keep a snapshot, to be written behind those that wait; one of the same place is there already."""
        last = self._places[-1] if self._places else None
        if last is not None and last.at == (snapshot.epoch, snapshot.step):
            self._places[-1] = replace(last, kept=last.kept or kept)
            return
        begun = time.monotonic()
        content = snapshots.dump(snapshot, self._claim.job_id, self._claim.fence)
        staged = self._blobs.stage(content)
        sha256 = snapshot.parameters.sha256()
        self._places.append(Place(snapshot.epoch, snapshot.step, staged, sha256, kept))
        self._dump_seconds += time.monotonic() - begun
        self._waiting_bytes += staged.size
        self.is_heavy = self._waiting_bytes > keeping.MOST_WAITING_BYTES

    def stage(self, parameters: Parameters) -> Staged:
        """Keep a model's parameters ahead of the writing that names them."""
        return records.stage(self._blobs, parameters)

    def write(self, end: Ending | None = None) -> None:
        """All that waits, and the job's end, in one fenced transaction. Raises LeaseLost."""
        begun = time.monotonic()
        rows = [snapshots.epoch_row(self._claim.job_id, epoch) for epoch in self._epochs]

        def unit(session: Session) -> list[str]:
            self._database.announce(session)
            parts = rows, self._places, end
            return history.record(session, self._blobs, self._claim, *parts, **self.facts)

        unnamed = self._database.patiently(unit, self._patience)
        self._count(time.monotonic() - begun, end)
        self.discard()
        if self._database.is_sqlite:
            # A snapshot's bytes are this claim's own: nobody else is about to name them.
            self._blobs.delete_files(*unnamed)

    def _count(self, seconds: float, end: Ending | None) -> None:
        if self._epochs:
            newest = max(self.recorded, self._epochs[-1].epoch)
            self._tally.epochs += newest - self.recorded
            self.recorded = newest
        if self._places:
            self._tally.snapshots += len(self._places)
            self._tally.snapshot_seconds += seconds + self._dump_seconds
        if end is not None and end.state == State.SUCCEEDED:
            self._tally.succeeded += 1
        elif end is not None and end.state == State.FAILED:
            self._tally.failed += 1
        elif end is not None:
            self._tally.stopped += 1

    def discard(self) -> None:
        """Forget all that waits."""
        self._epochs, self._places, self.facts = [], [], {}
        self._dump_seconds = 0.0
        self._waiting_bytes, self.is_heavy = 0, False
