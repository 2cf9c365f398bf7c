"""A dataset's table on this host: under a content's hash stands that content, and no other."""

from pathlib import Path

import pytest

from app.datasets import content
from app.errors import Gone
from app.storage.blobs import Blobs
from app.storage.database import Database
from tests.support.rows import add_dataset


def test_another_content_is_not_read_for_one_that_is_gone(
    database: Database, blobs: Blobs, tmp_path: Path
) -> None:
    add_dataset(database, blobs)
    with pytest.raises(Gone, match="other types"):
        content.table_of(database, blobs, tmp_path / "cache", "ds_of_a_test", "1" * 64)
    with pytest.raises(Gone, match="deleted"):
        content.table_of(database, blobs, tmp_path / "cache", "ds_none", "1" * 64)
