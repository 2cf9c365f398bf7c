"""Rows written at once are those that SQLAlchemy would have written."""

import math

import sqlalchemy as sa

from app.storage import bulk
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Epoch
from tests.support.rows import add_job

ROW = {
    "cost": 0.1 + 0.2,
    "data_cost": 5e-324,
    "validation_cost": None,
    "metrics": {"r2": 1 / 3, 'ä "': None},
    "learning_rate": 1e300,
    "gradient_norm": 0.0,
    "seconds": 1.5,
    "diverged": False,
}


def test_every_value_comes_back_as_it_was(database: Database) -> None:
    job_id = add_job(database)
    rows = [{"job_id": job_id, "epoch": number, **ROW} for number in (1, 2)]
    with database.writing() as session:
        bulk.insert(session, core(Epoch), rows)
    with database.reading() as session:
        found = [dict(row._mapping) for row in session.execute(sa.select(core(Epoch)).order_by("epoch"))]
    assert found == rows


def test_what_is_not_finite_is_null_in_json(database: Database) -> None:
    job_id = add_job(database)
    row = {"job_id": job_id, "epoch": 1, **ROW, "metrics": {"r2": -math.inf, "accuracy": math.nan}}
    with database.writing() as session:
        bulk.insert(session, core(Epoch), [row])
    with database.reading() as session:
        assert session.scalar(sa.select(Epoch.metrics)) == {"r2": None, "accuracy": None}
