from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from app.datasets import content, table
from app.datasets.table import Column, Table
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Dataset
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from tests.support.rows import principal

VALUES = {"a": [0.1, 0.7, 0.3, 0.9, 0.5], "b": [1.0, 0.2, 0.4, 0.8, 0.6], "y": [1.0, 2.0, 4.0, 3.0, 0.5]}
WEIGHTS = [1.0, 0.0, 2.5, 4.0, 1.0]


@pytest.fixture
def materials(database: Database, blobs: Blobs, tmp_path: Path) -> Materials:
    """Of a dataset whose table this host has."""
    columns = {name: np.array(values) for name, values in {**VALUES, "v": WEIGHTS}.items()}
    stored = Table(5, {name: Column(name, "number", values) for name, values in columns.items()})
    table.save(stored, tmp_path / "table")
    cache = tmp_path / "cache"
    content.keep_table(tmp_path / "table", cache, "0" * 64)
    owner = principal(database)
    row = {
        "id": "ds_of_a_test",
        "project_id": owner.project_id,
        "created_by": owner.key_id,
        "created_at": now(),
        "labels": {},
        "status": "ready",
        "sha256": "0" * 64,
        "size_bytes": 1,
        "row_count": 5,
        "columns": [{"name": name, "type": "number", "missing": 0} for name in columns],
        "warnings": [],
    }
    with database.writing() as session:
        staged = blobs.stage(b"its Parquet")
        blobs.attach(session, staged)
        session.execute(sa.insert(Dataset).values({**row, "content": staged.sha256}))
    return Materials(database, blobs, cache)


@pytest.fixture
def surroundings(database: Database, tmp_path: Path) -> Surroundings:
    url = database.url.render_as_string(hide_password=False)
    return Surroundings(url, tmp_path, 1, 5.0, 0.01, disk_reserve_bytes=0, memory_bytes=2**30)
