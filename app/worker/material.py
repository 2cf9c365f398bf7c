"""What a trainer needs to train a job: its plan, its arrays and the point to go on from."""

from collections import OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from app import __version__
from app.datasets import content
from app.datasets.encoding import Encoding, fit
from app.datasets.layout import PLAIN, layouts
from app.datasets.split import Split
from app.engine import Data, Parameters, Plan, Snapshot, fingerprint
from app.errors import LeaseLost
from app.jobs import ledger, snapshots, weights
from app.jobs.queue import Claim
from app.models import evaluation
from app.models import parameters as codec
from app.storage.blobs import Blobs
from app.storage.columns import to_json
from app.storage.database import Database
from app.storage.tables import Dataset, Job

CACHE_BYTES = 128 * 2**20
QUICK_MULTIPLY_ADDS = 5 * 10**8


@dataclass(frozen=True, slots=True)
class Arrays:
    """A dataset's rows as one job's network sees them; the same for every job with the same key."""

    encoding: Encoding
    split: Split
    data: Data
    test_x: Any
    test_y: Any

    @property
    def size(self) -> int:
        parts = [getattr(self.data, field.name) for field in fields(self.data)]
        return sum(0 if part is None else part.nbytes for part in (*parts, self.test_x, self.test_y))


@dataclass(frozen=True, slots=True)
class Run:
    """A job, ready to train."""

    job: Job
    plan: Plan
    snapshot: Snapshot
    arrays: Arrays
    fingerprint: dict[str, Any]
    moved: bool
    """Whether the snapshot that it goes on from was computed under another fingerprint."""

    @property
    def data(self) -> Data:
        return self.arrays.data

    @property
    def encoding(self) -> Encoding:
        return self.arrays.encoding

    def facts(self) -> dict[str, Any]:
        """Columns of the job that say what it is computed from, and by what."""
        split = self.job.split or self.arrays.split.digest()
        encoding = self.encoding.to_json()
        return {"encoding": encoding, "fingerprint": self.fingerprint, "split": split, "version": __version__}

    def epochs_recorded(self) -> int:
        """Rows of history that were there when the run was loaded or that it began from."""
        return max(self.job.epochs_completed, self.snapshot.epoch)

    def is_quick_to_measure(self) -> bool:
        """Whether `measure` and `costs` end within a small part of the grace that a cancelled job has."""
        parts = (self.data.x, self.data.validation_x, self.arrays.test_x)
        rows = sum(0 if part is None else len(part) for part in parts)
        return rows * self.plan.architecture.parameter_count <= QUICK_MULTIPLY_ADDS

    def measure(self, parameters: Parameters) -> dict[str, Any]:
        """The measures of each part of the split at these parameters; None for an empty part."""
        parts = {
            "train": (self.data.x, self.data.y),
            "validation": (self.data.validation_x, self.data.validation_y),
            "test": (self.arrays.test_x, self.arrays.test_y),
        }
        return {name: self._measure(parameters, x, y) for name, (x, y) in parts.items()}

    def _measure(self, parameters: Parameters, x: Any, y: Any) -> dict[str, Any] | None:
        if x is None or not len(x):
            return None
        outputs = evaluation.outputs_of(self.plan.architecture, parameters, x)
        return evaluation.summary(self.encoding, outputs, y)

    def costs(self, parameters: Parameters) -> dict[str, float | None]:
        """J of (6) on the training rows as weighted, its first term, and that term on the validation rows."""
        network, cost = self.plan.architecture, self.plan.cost

        def of(x: Any, y: Any, v: Any) -> float | None:
            if x is None or not len(x):
                return None
            return evaluation.mean_cost(network, cost, evaluation.outputs_of(network, parameters, x), y, v)

        data, data_cost = self.data, of(self.data.x, self.data.y, self.data.weights)
        decay = 0.5 * self.plan.lambda_ * parameters.squared_weights()
        return {
            "cost": None if data_cost is None else data_cost + decay,
            "data_cost": data_cost,
            "validation_cost": of(data.validation_x, data.validation_y, data.validation_weights),
        }


class Materials:
    """Loads runs; keeps the arrays of the last few datasets, by what decides them."""

    def __init__(self, database: Database, blobs: Blobs, cache_dir: Path) -> None:
        self._database = database
        self._blobs = blobs
        self._cache_dir = cache_dir
        self._arrays: OrderedDict[str, Arrays] = OrderedDict()

    def load(self, claim: Claim) -> Run:
        """Everything that the claimed job needs. Raises LeaseLost when the claim is stale."""
        with self._database.reading() as session:
            statement = sa.select(Job).where(Job.id == claim.job_id, Job.fence == claim.fence)
            job = session.scalar(statement)
            if job is None:
                raise LeaseLost
            stored = ledger.newest(session, job.id)
            content = None if stored is None else stored.content
            state = None if content is None else self._blobs.read(session, content)
            initial = job.initial_parameters and self._blobs.read(session, job.initial_parameters)
        arrays = self._arrays_of(job)
        plan = snapshots.plan_of(job, len(arrays.split.train))
        if state is not None:
            snapshot = snapshots.load(plan, state)
        else:
            start = codec.load(plan.architecture, initial) if initial else None
            snapshot = Snapshot.start(plan, start)
        now = fingerprint()
        moved = state is not None and job.fingerprint is not None and job.fingerprint != now
        return Run(job, plan, snapshot, arrays, now, moved)

    def _arrays_of(self, job: Job) -> Arrays:
        training = job.training
        decisive = (
            *("validation_fraction", "test_fraction", "stratify", "seed", "standardize", "dtype"),
            *("class_weight", "sample_weight_column"),
        )
        key = to_json(
            [
                job.dataset_sha256,
                job.features,
                job.target,
                job.task,
                [training[name] for name in decisive],
                [training.get(name) for name in (*PLAIN, "split_seed", "fold")],
            ]
        )
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        arrays = self._encode(job)
        if arrays.size <= CACHE_BYTES:  # a trainer at rest is small
            self._arrays[key] = arrays
        while sum(each.size for each in self._arrays.values()) > CACHE_BYTES:
            self._arrays.popitem(last=False)
        return arrays

    def _encode(self, job: Job) -> Arrays:
        table = content.table_of(
            self._database, self._blobs, self._cache_dir, job.dataset_id, job.dataset_sha256
        )
        split = content.split_of(table, job.target, job.task, job.training)
        with self._database.reading() as session:
            dataset = session.get_one(Dataset, job.dataset_id)
            described, row_count = dataset.columns, dataset.row_count
        others = [each["name"] for each in described]
        target = job.target[0] if len(job.target) == 1 else job.target
        encoding = fit(
            table,
            job.features,
            target,
            job.task,  # type: ignore[arg-type]
            split.train,
            job.training["standardize"],
            others,
            layouts(described, job.features, job.training, row_count),
        )
        dtype = np.dtype(job.training["dtype"])

        def part(rows: Any) -> tuple[Any, Any]:
            x, y = encoding.encode_inputs(table, rows), encoding.encode_targets(table, rows)
            return x.astype(dtype, copy=False), y.astype(dtype, copy=False)

        x, y = part(split.train)
        validation_x, validation_y = part(split.validation) if len(split.validation) else (None, None)
        test_x, test_y = part(split.test) if len(split.test) else (None, None)
        v = weights.of_rows(table, job.target[0], job.training, split.train)
        validation_v = None
        if validation_x is not None:
            validation_v = weights.of_rows(table, job.target[0], job.training, split.validation)
        data = Data(x, y, validation_x, validation_y, v, validation_v)
        return Arrays(encoding, split, data, test_x, test_y)
