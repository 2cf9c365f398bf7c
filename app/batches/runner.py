"""Works at batches, one after the other: a child answers the dataset, and that is stored as an upload is.

The new dataset and the batch's end are one transaction, which a worker whose batch was cancelled, or taken by
another, runs into. So there is one dataset, or none, whoever dies when.
"""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.audit.acting import SERVER, Act, acting
from app.batches import charges, line
from app.batches.line import Held
from app.datasets import service as datasets
from app.datasets.jail import Jail, Killed, ParseRequest
from app.datasets.storing import Reading, Uploads
from app.errors import ChainruleError, DiskFull, LeaseLost, Unavailable
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.models.warm import Loaded, WarmModels
from app.predictions import files, media
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.disk import is_full
from app.storage.scope import whole_server, within
from app.storage.tables import Batch

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RENEW_SECONDS = 1.0
AWAY_SECONDS = 5.0
BATCH_SECONDS = 3600.0
"""A child may take so long, and twice as long of a processor."""


class Parts(NamedTuple):
    """What a runner works with."""

    database: Database
    blobs: Blobs
    uploads: Uploads
    warm: WarmModels
    jail: Jail
    incoming: Path


class Ending(Once):
    """The end of a batch, in the transaction that stores its dataset. Raises LeaseLost there."""

    def __init__(self, database: Database, held: Held, warnings: Mapping[str, int]) -> None:
        super().__init__(database, held.project_id, "", None, 201, lambda _: "")
        self._held = held
        self._warnings = [{"code": code, "count": count} for code, count in warnings.items()]

    def answer(self, session: Session, location: str, content: Mapping[str, Any], *_: str) -> Answered:
        values = {
            "status": "succeeded",
            "completed": content["row_count"],
            "result_dataset_id": content["id"],
            "warnings": self._warnings,
            "finished_at": now(),
        }
        if not line.write(session, self._held, values):
            raise LeaseLost
        return Answered(201, location, "")


class Runner(threading.Thread):
    """Of one API process. Several of one database share the work."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(name="batches", daemon=True)
        self._parts = parts
        limits = replace(parts.jail.limits, wall_seconds=BATCH_SECONDS, cpu_seconds=int(2 * BATCH_SECONDS))
        self._jail = Jail(parts.incoming, limits, keep_spare=False, module="app.predictions.child")
        self._over = threading.Event()
        self._working = ThreadPoolExecutor(1, "batch")

    def close(self) -> None:
        """Give back what is being worked at, and end."""
        self._over.set()
        if self.is_alive():
            self.join()
        self._jail.close()
        self._working.shutdown()

    def run(self) -> None:
        pause = POLL_SECONDS
        while not self._over.wait(pause):
            pause = POLL_SECONDS
            try:
                with whole_server():
                    held = line.claim(self._parts.database)
                if held is not None:
                    self._serve(held)
            except (SQLAlchemyError, OSError) as error:
                log.warning("work at batches is put off: %s", type(error).__name__)
                pause = AWAY_SECONDS  # what was begun is taken again when its lease has ended
            except Exception:
                log.exception("work at a batch failed")

    def _serve(self, held: Held) -> None:
        act = Act("create", "datasets", SERVER, held.project_id, held.created_by)
        stop = threading.Event()
        with within(held.project_id), files.Scratch(self._parts.incoming) as scratch:
            with acting(act):
                working = self._working.submit(copy_context().run, self._work, held, scratch, stop)
            while not _is_done(working, RENEW_SECONDS):
                if not stop.is_set() and not self._goes_on(held, scratch):
                    stop.set()
            self._conclude(held, working)

    def _goes_on(self, held: Held, scratch: files.Scratch) -> bool:
        if self._over.is_set():
            return False
        try:
            return line.renew(self._parts.database, held, scratch.progress())
        except SQLAlchemyError:
            return True  # if another takes it meanwhile, ours runs into the fence

    def _work(self, held: Held, scratch: files.Scratch, stop: threading.Event) -> None:
        parts = self._parts
        principal = Principal(held.created_by, held.project_id, "write")
        model = parts.warm.load(principal, held.model_id)
        with parts.database.reading() as session:
            dataset = datasets.get(session, principal, held.dataset_id)
            types = {each["name"]: each["type"] for each in dataset.columns if each["used_by_default"]}
            parts.blobs.copy(session, dataset.content, scratch.body)
        done = files.answer(self._jail, model, scratch, media.PARQUET, own=True, stop=stop)
        if stop.is_set():
            raise LeaseLost
        said = {"name": held.name or f"predictions of {held.dataset_id}", "metadata": held.labels}
        corrections = {name: {"type": kind} for name, kind in _types(types, model).items()}
        ending = Ending(parts.database, held, done.warnings)
        parts.uploads.store(Reading(principal, done.path, said, ParseRequest(corrections, own=True), ending))

    def _conclude(self, held: Held, working: "Future[None]") -> None:
        """Say why it did not come to its end, if it did not."""
        error = working.exception()
        if error is None or isinstance(error, LeaseLost):
            return
        database = self._parts.database
        if self._over.is_set() or isinstance(error, Unavailable | SQLAlchemyError):
            line.give_back(database, held)
            return
        if isinstance(error, Killed):
            line.give_back(database, held, killed=True)
            return
        if is_full(error):
            error = DiskFull("There was no room left on the server's disk.")
        if not isinstance(error, ChainruleError):
            log.error("a batch failed", exc_info=error)
            error = ChainruleError()
        why = {
            "code": error.code,
            "message": error.detail,
            "errors": [asdict(fault) for fault in error.faults],
        }
        with database.writing() as session:
            if line.write(session, held, {"status": "failed", "error": why, "finished_at": now()}):
                charges.settle(session, session.get_one(Batch, held.id))


def _types(types: dict[str, str], model: Loaded) -> dict[str, str]:
    """Those that the columns had, and a class is one however it is spelled."""
    return types | ({} if model.encoding.classes is None else {"prediction": "category"})


def _is_done(working: "Future[None]", seconds: float) -> bool:
    with suppress(TimeoutError):
        working.exception(seconds)
    return working.done()
