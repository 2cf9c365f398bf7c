"""Loaded models, kept in memory: a prediction reads no database but once a second."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from app.architectures.network import to_engine
from app.datasets.encoding import Encoding
from app.engine import Architecture, Parameters
from app.keys.service import Principal
from app.models import parameters as codec
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Model

FRESH_SECONDS = 1.0
MEMORY_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, ready to answer. Immutable, and safe to share between threads."""

    id: str
    dataset_id: str
    dataset_sha256: str
    task: str
    training: dict[str, Any]
    architecture: Architecture
    parameters: Parameters
    encoding: Encoding


class WarmModels:
    """The models that were used lately, up to a number of bytes."""

    def __init__(self, database: Database, blobs: Blobs, memory_bytes: int = MEMORY_BYTES) -> None:
        self._database = database
        self._blobs = blobs
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[tuple[str, str], Loaded] = OrderedDict()
        self._fresh_until: dict[tuple[str, str], float] = {}

    async def get(self, principal: Principal, model_id: str) -> Loaded:
        """The model, from memory when it was seen within a second. Raises NotFound."""
        key = (principal.project_id, model_id)
        if self._fresh_until.get(key, 0.0) > time.monotonic():
            return self._kept[key]
        return await run_in_threadpool(self.load, principal, model_id)

    def load(self, principal: Principal, model_id: str) -> Loaded:
        """The model, after a look at whether it is still there. Raises NotFound."""
        key = (principal.project_id, model_id)
        kept = self._kept.get(key)
        with self._database.reading() as session:
            if kept is None:
                row = lookup.get(session, Model, principal.project_id, model_id, "model_id")
                kept = _loaded(row, self._blobs.read(session, row.parameters))
            elif session.scalar(sa.select(sa.exists().where(Model.id == model_id))) is not True:
                self._forget(key)
                lookup.get(session, Model, principal.project_id, model_id, "model_id")
        self._keep(key, kept)
        return kept

    def _keep(self, key: tuple[str, str], model: Loaded) -> None:
        self._kept[key] = model
        self._kept.move_to_end(key)
        self._fresh_until[key] = time.monotonic() + FRESH_SECONDS
        while len(self._kept) > 1 and self._size() > self._memory_bytes:
            self._forget(next(iter(self._kept)))

    def _size(self) -> int:
        return sum(each.parameters.flat.nbytes for each in list(self._kept.values()))

    def _forget(self, key: tuple[str, str]) -> None:
        self._fresh_until.pop(key, None)
        self._kept.pop(key, None)


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
