"""An upload that loses the last place to another leaves nothing, and takes nothing from who has it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from app.datasets.jail import Jail, ParseRequest
from app.datasets.storing import Reading, Uploads
from app.errors import QuotaReached
from app.keys.idempotency import Once
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.tables import BlobChunk, Dataset
from tests.support.rows import principal


@pytest.fixture
def jail(tmp_path: Path) -> Iterator[Jail]:
    made = Jail(tmp_path, keep_spare=False)
    yield made
    made.close()


def table(seed: int) -> str:
    """Too large to lie in a row of the database."""
    values = np.random.default_rng(seed).normal(size=(40_000, 1))
    return "x\n" + "\n".join(f"{value[0]!r}" for value in values.tolist())


def left(database: Database, data_dir: Path) -> set[str]:
    """Files, and chunks of blobs."""
    with database.reading() as session:
        chunks = set(session.scalars(sa.select(BlobChunk.sha256).distinct()))
    return chunks | {str(each) for each in data_dir.rglob("*") if each.is_file()}


def test_who_loses_the_last_place_leaves_nothing(
    database: Database, blobs: Blobs, jail: Jail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    blobs.directory = data_dir / "blobs"
    uploads = Uploads(blobs, jail, Disk(tmp_path, 0), data_dir, Quotas(max_datasets=1))
    who = principal(database)

    def upload(seed: int) -> None:
        path = uploads.place()
        path.write_text(table(seed))
        once = Once(
            database, who.project_id, "/v1/datasets", None, 201, lambda content: json.dumps(content["id"])
        )
        uploads.store(Reading(who, path, {"name": "x"}, ParseRequest(), once))
        path.unlink()

    monkeypatch.setattr(uploads, "foresee", lambda *_, **__: None)  # as things were before another came first
    upload(1)
    before = left(database, data_dir)
    assert len(before) == 2  # its content, and its table in the cache
    for seed in (2, 1):
        with pytest.raises(QuotaReached):
            upload(seed)
        for path in (data_dir / "incoming").iterdir():
            path.unlink()
        assert left(database, data_dir) == before
    with database.reading() as session:
        (content,) = session.scalars(sa.select(Dataset.content))
        assert len(blobs.read(session, content)) > 2**18
