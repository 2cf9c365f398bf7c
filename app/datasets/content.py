"""A stored dataset's values: its table from this host's cache, or rebuilt from its Parquet; and its split."""

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.datasets.encoding import class_codes
from app.datasets.jail import Jail
from app.datasets.split import Split, fold, split
from app.datasets.table import Table, load
from app.errors import Gone
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Dataset


def cached_table(cache_dir: Path, sha256: str) -> Path:
    """Where this host keeps the table of the dataset with that content."""
    return cache_dir / f"{sha256}.safetensors"


def keep_table(table: Path, cache_dir: Path, sha256: str) -> None:
    """Move a freshly written table (on any file system) into the cache, whole or not at all."""
    place = cached_table(cache_dir, sha256)
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{secrets.token_hex(4)}")
    try:
        try:
            table.rename(partial)
        except OSError:
            partial.write_bytes(table.read_bytes())
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)


def table_of(database: Database, blobs: Blobs, cache_dir: Path, dataset_id: str, sha256: str) -> Table:
    """The dataset's table, memory-mapped; rebuilt in a jailed child where this host has never seen it.

    Raises Gone when the dataset was deleted.
    """
    place = cached_table(cache_dir, sha256)
    if not place.exists():
        _rebuild(database, blobs, cache_dir, dataset_id, sha256)
    return load(place)


def _rebuild(database: Database, blobs: Blobs, cache_dir: Path, dataset_id: str, sha256: str) -> None:
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as name:
        directory = Path(name)
        with database.reading() as session:
            dataset = session.get(Dataset, dataset_id)
            if dataset is None:
                raise Gone("The dataset has been deleted.")
            if dataset.sha256 != sha256:  # its bytes under that hash would be read for another's
                raise Gone("The dataset's columns were given other types.")
            blobs.copy(session, dataset.content, directory / "copy.parquet")
        jail = Jail(cache_dir.absolute(), keep_spare=False)
        try:
            keep_table(jail.rebuild(directory / "copy.parquet", directory), cache_dir, sha256)
        finally:
            jail.close()


def sweep(
    database: Database,
    cache_dir: Path,
    incoming: Path,
    grace_seconds: float,
    table_grace_seconds: float | None = None,
) -> None:
    """Delete what the cache keeps of datasets that are gone, and leftovers of interrupted uploads.

    They must be ``grace_seconds`` old; whole tables, which can be rebuilt, may have a shorter grace.
    """
    old = time.time() - grace_seconds
    old_table = old if table_grace_seconds is None else time.time() - table_grace_seconds
    with database.reading() as session:
        known = set(session.scalars(sa.select(Dataset.sha256)))
        known |= set(session.scalars(sa.select(Dataset.content)))
    leftovers = [path for path in cache_dir.glob("*") if path.name.partition(".")[0] not in known]
    for path in [*leftovers, *incoming.glob("*")]:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime >= (old_table if path.suffix == ".safetensors" else old):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def split_of(table: Table, targets: Sequence[str], task: str, training: Mapping[str, Any]) -> Split:
    """The rows of a job's parts, from its resolved training options; rows without a target are in none."""
    strata = None
    if task == "classification":
        codes, _ = class_codes(table.columns[targets[0]])
        candidates = np.flatnonzero(codes >= 0)
        if training["stratify"]:
            strata = codes[candidates]
    else:
        known = [~table.columns[name].is_missing() for name in targets]
        candidates = np.flatnonzero(np.logical_and.reduce(known))
    seed, validation = training.get("split_seed"), training["validation_fraction"]
    seed = training["seed"] if seed is None else seed
    if (part := training.get("fold")) is not None:
        return fold(strata, candidates, validation, part["index"], part["of"], seed)
    return split(strata, candidates, validation, training["test_fraction"], seed)
