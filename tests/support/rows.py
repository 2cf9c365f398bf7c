"""Rows for tests that need no server: a project with jobs in a database of its own."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.engine import Parameters
from app.engine.network import initialise
from app.jobs import events
from app.jobs.events import Entry
from app.keys.service import Principal, project_named
from app.storage.blobs import Blobs
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import Dataset, Event, Job, Model

TRAINING: dict[str, Any] = {
    "preset": None,
    "cost": "squared_error",
    "optimizer": {"name": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "learning_rate_schedule": {"name": "constant", "warmup_epochs": 0},
    "batch_size": 4,
    "epochs": 100,
    "time_budget_seconds": None,
    "weight_decay": 0.0,
    "gradient_clip_norm": None,
    "validation_fraction": 0.0,
    "test_fraction": 0.0,
    "stratify": False,
    "early_stopping": None,
    "standardize": True,
    "class_weight": None,
    "sample_weight_column": None,
    "shuffle": True,
    "seed": 0,
    "dtype": "float32",
    "threads": 1,
    "leaves": 1,
    "keep_epochs": "powers_of_two",
}
ARCHITECTURE: dict[str, Any] = {
    "inputs": 2,
    "layers": [{"units": 3, "activation": "tanh", "initialization": "auto"}],
    "output": {"units": 1, "activation": "identity", "initialization": "auto"},
}


AT_ONCE = 5000
"""Rows that a statement writes within the time that it has."""


@contextlib.contextmanager
def another_process(database: Database) -> Iterator[Database]:
    """The same database as another process has it: with connections and locks of its own."""
    other = Database(database.url.render_as_string(hide_password=False), pool_size=2)
    yield other
    other.close()


def principal(database: Database, project: str = "default", role: str = "write") -> Principal:
    with database.writing() as session:
        return Principal("key_of_a_test", project_named(session, project).id, role)


def add_job(database: Database, project: str = "default", **values: Any) -> str:
    """A queued job; ``values`` are other columns."""
    job_id = new_id("job")
    owner = principal(database, project)
    row = {
        "id": job_id,
        "project_id": owner.project_id,
        "created_by": owner.key_id,
        "created_at": now(),
        "labels": {},
        "dataset_id": "ds_of_a_test",
        "dataset_sha256": "0" * 64,
        "task": "regression",
        "target": ["y"],
        "features": ["a", "b"],
        "architecture": ARCHITECTURE,
        "training": TRAINING,
        "requested": {},
        "warnings": [],
        "status": "queued",
        "want": "run",
        "priority": 0,
        "fence": 0,
        "lease_until": 0.0,
        "crashes": 0,
        "retries": 0,
        "event_count": 0,
        "epochs_completed": 0,
        "snapshot_count": 0,
    }
    with database.writing() as session:
        session.execute(sa.insert(Job).values(row | values))
        events.append(session, job_id, [Entry("job.queued", "The job waits for a worker.")])
    return job_id


def add_jobs(database: Database, number: int, project: str, **values: Any) -> list[str]:
    """As many jobs of one project; only the first has an event."""
    first = add_job(database, project, **values)
    with database.writing() as session:
        job = session.get_one(Job, first)
        row = {each.key: getattr(job, each.key) for each in sa.inspect(Job).column_attrs}
    ids = [f"{first}{index:06}" for index in range(number - 1)]
    for start in range(0, len(ids), AT_ONCE):
        with database.writing() as session:
            session.execute(sa.insert(Job), [{**row, "id": each} for each in ids[start : start + AT_ONCE]])
    return [first, *ids]


def add_dataset(database: Database, blobs: Blobs, project: str = "default", **values: Any) -> None:
    """The dataset of the jobs of `add_job`, without a table; ``values`` are other columns."""
    content = blobs.stage(b"no table at all")
    owner = principal(database, project)
    row = {
        "id": "ds_of_a_test",
        "project_id": owner.project_id,
        "created_by": owner.key_id,
        "created_at": now(),
        "labels": {},
        "status": "ready",
        "sha256": "0" * 64,
        "size_bytes": 15,
        "row_count": 0,
        "columns": [],
        "warnings": [],
        "content": content.sha256,
    }
    with database.writing() as session:
        blobs.attach(session, content)
        session.execute(sa.insert(Dataset).values(row | values))


def add_model(database: Database, blobs: Blobs, content: bytes, project: str = "default") -> str:
    """A model whose parameters are those bytes."""
    staged = blobs.stage(content)
    owner = principal(database, project)
    row = {
        "id": new_id("mdl"),
        "project_id": owner.project_id,
        "created_by": owner.key_id,
        "created_at": now(),
        "labels": {},
        "job_id": "job_of_a_test",
        "epoch": 1,
        "dataset_id": "ds_of_a_test",
        "dataset_sha256": "0" * 64,
        "task": "regression",
        "architecture": ARCHITECTURE,
        "training": TRAINING,
        "encoding": {},
        "parameter_count": 13,
        "parameters": staged.sha256,
        "size_bytes": staged.size,
        "sha256": "0" * 64,
        "metrics": {},
    }
    with database.writing() as session:
        blobs.attach(session, staged)
        session.execute(sa.insert(Model).values(row))
    return str(row["id"])


def parameters() -> Parameters:
    """Of the network of `add_job`."""
    return initialise(to_engine(ARCHITECTURE), 0, "float32")


def job_row(database: Database, job_id: str) -> Job:
    with database.reading() as session:
        return session.get_one(Job, job_id)


def expire(database: Database, job_id: str) -> None:
    """Let the job's lease have run out."""
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == job_id).values(lease_until=1.0))


def event_types(database: Database, job_id: str) -> list[str]:
    """The job's log; asserts that it is numbered without gaps."""
    with database.reading() as session:
        found = session.scalars(sa.select(Event).where(Event.job_id == job_id).order_by(Event.seq)).all()
        assert [each.seq for each in found] == list(range(1, len(found) + 1))
        assert session.get_one(Job, job_id).event_count == len(found)
        return [each.type for each in found]


def epoch(job_id: str, number: int, cost: float = 0.5) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "epoch": number,
        "cost": cost,
        "data_cost": cost,
        "validation_cost": None,
        "metrics": {"r2": 0.25},
        "learning_rate": 0.001,
        "gradient_norm": 1.0,
        "seconds": 0.125,
        "diverged": False,
    }


def count(session: Session, table: Any, job_id: str) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(table.job_id == job_id)
    return session.scalar(statement) or 0
