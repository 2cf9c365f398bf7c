"""One job with its client and its worker, for tests that need no server."""

from typing import Any

import sqlalchemy as sa

from app.jobs import actions, history, ledger, queue
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.jobs.states import State
from app.models import records
from app.models.records import Trained
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job, Model
from tests.support.rows import add_job, epoch, event_types, job_row, parameters, principal

ERROR = {"code": "diverged", "message": "The cost of epoch 1 is not finite."}


class Life:
    """One job, its client and its worker."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self.database, self.blobs = database, blobs
        self.principal = principal(database)
        self.id = add_job(database)
        self.claim: Claim | None = None
        self.snapshots = 0

    @property
    def job(self) -> Job:
        return job_row(self.database, self.id)

    @property
    def events(self) -> list[str]:
        return event_types(self.database, self.id)

    def ask(self, action: Any) -> bool:
        with self.database.writing() as session:
            return actions.ask(session, self.database, self.principal, self.id, action)

    def take(self) -> "Life":
        (self.claim,) = queue.claim(self.database, "wrk_a", 1, 30.0)
        return self

    def take_over(self) -> "Life":
        """Another worker sees that the job is to stop, and has nobody to stop it."""
        (self.claim,) = queue.lapsed_stops(self.database, "wrk_b")
        return self

    def place(self) -> Place:
        self.snapshots += 1
        return Place(0, self.snapshots, self.blobs.stage(b"%d" % self.snapshots), parameters().sha256())

    def record(self, *rows: int, **more: Any) -> "Life":
        assert self.claim is not None
        with self.database.writing() as session:
            history.record(session, self.blobs, self.claim, [epoch(self.id, row) for row in rows], **more)
        return self

    def snapshot(self) -> "Life":
        return self.record(places=[self.place()])

    def stop(self) -> "Life":
        """As a trainer that was asked to: with a model, and a snapshot to go on from."""
        model = Trained(self.job, parameters(), records.stage(self.blobs, parameters()), {}, 0)
        result = {"epochs": 0, "cost": 0.5, "stop_reason": "cancelled"}
        return self.record(places=[self.place()], end=Ending(None, result, model=model))

    def end(self, state: State, error: dict[str, Any] | None = None) -> "Life":
        return self.record(end=Ending(state, None if error else {"epochs": 0}, error))

    def crash(self) -> "Life":
        assert self.claim is not None
        queue.release(self.database, self.claim, crashed=True)
        return self

    def models(self) -> list[Model]:
        with self.database.reading() as session:
            return list(session.scalars(sa.select(Model).where(Model.job_id == self.id).order_by(Model.id)))

    def has_snapshot(self) -> bool:
        with self.database.reading() as session:
            return ledger.newest(session, self.id) is not None
