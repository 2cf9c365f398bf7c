"""Pages of a stored dataset's rows, from the Parquet that our own parser wrote."""

import math
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.datasets.moments import spelled
from app.storage.blobs import Blobs
from app.storage.tables import Blob, Dataset


def source(session: Session, blobs: Blobs, cache_dir: Path, dataset: Dataset) -> BytesIO | Path:
    """The Parquet in memory when it is small, else as a file on this host."""
    blob = session.get_one(Blob, dataset.content)
    if blob.data is not None:
        return BytesIO(blob.data)
    if blobs.database.is_sqlite:
        return blobs.path(dataset.content)
    place = cache_dir / f"{dataset.content}.parquet"
    if not place.exists():
        partial = place.with_suffix(f".{id(session):x}")
        try:
            blobs.copy(session, dataset.content, partial)
            partial.rename(place)
        finally:
            partial.unlink(missing_ok=True)
    return place


def rows(parquet: BytesIO | Path, first: int, count: int) -> list[dict[str, Any]]:
    """``count`` rows from number ``first``; a missing value is None."""
    import polars as pl  # costs 60 MB, and few servers are ever asked for rows

    frame = pl.scan_parquet(parquet).slice(first, count).collect()
    return [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return spelled(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
