"""How long a job is expected to train: as long as its like has, and else as reckoned."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.architectures.network import to_engine
from app.jobs import charges, reckoning
from app.jobs.memory import Load
from app.jobs.throughput import Pace, pace
from app.storage.database import Database
from app.storage.tables import Epoch, Job
from tests.support.rows import ARCHITECTURE, TRAINING, add_job

SPLIT = {"train": {"rows": 100}, "validation": {"rows": 20}, "test": {"rows": 20}}
WIDER = {**ARCHITECTURE, "layers": [{"units": 9, "activation": "tanh", "initialization": "auto"}]}


def reckoned(network: dict[str, Any]) -> float:
    engine, rows = to_engine(network), Load(100, 20, 20, 0)
    return reckoning.seconds(engine, rows, TRAINING, charges.multiply_adds(engine, rows))


def trained(database: Database, network: dict[str, Any], times: float, **values: Any) -> str:
    """A job that took so many times what is reckoned; returns its project."""
    job_id = add_job(
        database, architecture=network, status="succeeded", split=SPLIT, epochs_completed=2, **values
    )
    with database.writing() as session:
        for epoch in (1, 2):
            facts = {"cost": 1.0, "metrics": {}, "learning_rate": 0.1, "diverged": False}
            row = {"job_id": job_id, "epoch": epoch, "seconds": times * reckoned(network), **facts}
            session.execute(sa.insert(Epoch).values(row))
        return str(session.get_one(Job, job_id).project_id)


def test_without_jobs_there_is_nothing_but_the_reckoning(database: Database) -> None:
    with database.reading() as session:
        assert pace(session, "nobody", ARCHITECTURE, TRAINING) == Pace(1.0, 0)


def test_jobs_of_the_same_network_are_the_measure_if_there_are_any(database: Database) -> None:
    for times in (2.0, 3.0, 10.0):
        project = trained(database, ARCHITECTURE, times)
    trained(database, WIDER, 7.0)
    with database.reading() as session:
        same = pace(session, project, ARCHITECTURE, TRAINING)
        assert same.jobs == 3
        assert same.factor == pytest.approx(3.0)
        other = pace(session, project, ARCHITECTURE, {**TRAINING, "batch_size": 64})
        assert other.jobs == 4
        assert other.factor == pytest.approx(5.0)
        assert pace(session, "nobody", ARCHITECTURE, TRAINING).jobs == 0


def test_jobs_of_the_same_manner_are_the_next_best_measure(database: Database) -> None:
    whole = {**TRAINING, "batch_size": "full", "dtype": "float64"}
    project = trained(database, WIDER, 4.0)
    trained(database, WIDER, 12.0, training=whole)
    with database.reading() as session:
        full = pace(session, project, ARCHITECTURE, {**whole, "epochs": 7})
        assert full.jobs == 1
        minibatches = pace(session, project, ARCHITECTURE, {**TRAINING, "batch_size": 64})
        assert minibatches.jobs == 1
        assert minibatches.factor == pytest.approx(4.0)
