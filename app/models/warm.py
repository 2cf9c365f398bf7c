"""Loaded models, kept in memory: a prediction reads no database but once a second."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from app.aliases import service as aliases
from app.architectures.network import to_engine
from app.datasets.encoding import Encoding
from app.engine import Architecture, Parameters
from app.errors import Unavailable
from app.keys.service import Principal
from app.models import parameters as codec
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Model

FRESH_SECONDS = 1.0
MEMORY_BYTES = 512 * 2**20
MOST_SEEN = 10_000
"""Ids and aliases that are remembered."""

UNSEEN = (0.0, "")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, ready to answer. Immutable, and safe to share between threads."""

    id: str
    dataset_id: str | None
    dataset_sha256: str | None
    task: str
    training: dict[str, Any]
    architecture: Architecture
    parameters: Parameters
    encoding: Encoding


class WarmModels:
    """The models that were used lately, up to a number of bytes; of these the last is kept whatever its size.

    ``loads`` counts models that were read, ``evictions`` those that had to make room.
    """

    def __init__(self, database: Database, blobs: Blobs, memory_bytes: int = MEMORY_BYTES) -> None:
        self._database = database
        self._blobs = blobs
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[tuple[str, str], Loaded] = OrderedDict()
        self._seen: dict[tuple[str, str], tuple[float, str]] = {}
        self._changing = threading.Lock()
        self.loads = 0
        self.evictions = 0

    async def get(self, principal: Principal, reference: str) -> Loaded:
        """The model of that id or alias, from memory when it was seen within a second. Raises NotFound."""
        until, model_id = self._seen.get((principal.project_id, reference), UNSEEN)
        if until > time.monotonic():
            kept = self._kept.get((principal.project_id, model_id))
            if kept is not None:
                return kept
        return await run_in_threadpool(self.load, principal, reference)

    def load(self, principal: Principal, reference: str) -> Loaded:
        """The model, after a look at whether it, or the alias, is still there. Raises NotFound."""
        project_id = principal.project_id
        meant = aliases.meant(project_id, reference)
        there = sa.select(Model.id).where(Model.id == meant, Model.project_id == project_id)
        try:
            with self._database.reading() as session:
                model_id = session.scalar(there)
                kept = None if model_id is None else self._kept.get((project_id, model_id))
                if kept is None:
                    self._forget(project_id, reference)
                    row = lookup.get(session, Model, project_id, meant, "model_id")
                    kept = _loaded(row, self._blobs.read(session, row.parameters))
        except Unavailable:  # its bytes are gone: it was deleted since its row was read, if it is not damaged
            with self._database.reading() as session:
                lookup.get(session, Model, project_id, meant, "model_id")
            raise
        self._keep(project_id, reference, kept)
        return kept

    def _keep(self, project_id: str, reference: str, model: Loaded) -> None:
        with self._changing:
            self.loads += self._kept.get((project_id, model.id)) is not model
            self._kept[project_id, model.id] = model
            self._kept.move_to_end((project_id, model.id))
            while len(self._kept) > 1 and self.size_bytes > self._memory_bytes:
                self._kept.popitem(last=False)
                self.evictions += 1
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            self._seen[project_id, reference] = (time.monotonic() + FRESH_SECONDS, model.id)

    def _forget(self, project_id: str, model_id: str) -> None:
        with self._changing:
            self._kept.pop((project_id, model_id), None)

    @property
    def count(self) -> int:
        """Models that are kept."""
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """Bytes of their parameters. From any thread."""
        return sum(each.parameters.flat.nbytes for each in self._kept.copy().values())


def _loaded(row: Model, content: bytes) -> Loaded:
    architecture = to_engine(row.architecture)
    return Loaded(
        id=row.id,
        dataset_id=row.dataset_id,
        dataset_sha256=row.dataset_sha256,
        task=row.task,
        training=row.training,
        architecture=architecture,
        parameters=codec.load(architecture, content),
        encoding=Encoding.from_json(row.encoding),
    )
