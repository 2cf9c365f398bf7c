"""Whether a database and its blobs are sound: what no crash may leave behind."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.declaring import Table
from app.storage.sweep import GRACE_SECONDS
from app.storage.tables import Blob, BlobChunk, Model


def damage(database: Database) -> Iterator[str]:
    """What the database itself finds wrong with its pages, its indexes and its foreign keys."""
    with database.reading() as session:
        if database.is_sqlite:
            for pragma, sound in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
                found = [tuple(row) for row in session.execute(sa.text(f"PRAGMA {pragma}"))]
                if found != sound:
                    yield f"{pragma}: {found}"
            return
        for table in Table.metadata.sorted_tables:
            for key in table.foreign_keys:
                theirs = key.column.table.alias()
                there = sa.exists().where(theirs.c[key.column.name] == key.parent)
                orphans = sa.select(sa.func.count()).select_from(table).where(key.parent.is_not(None), ~there)
                if count := session.scalar(orphans):
                    yield f"{count} rows of {table.name} have a {key.parent.name} that does not exist"
            counts = []
            for scan, other in (("seqscan", "indexscan"), ("indexscan", "seqscan")):
                for name, way in ((scan, "on"), (other, "off"), ("bitmapscan", "off")):
                    session.execute(sa.text(f"SET LOCAL enable_{name} = {way}"))
                first = next(iter(table.primary_key.columns))
                counting = sa.select(sa.func.count()).select_from(table).where(first >= "")
                counts.append(session.scalar(counting))
            if counts[0] != counts[1]:
                yield f"{table.name} has {counts[0]} rows, and {counts[1]} by its primary key"


def lost_or_left(database: Database, blobs: Blobs, grace_seconds: float = GRACE_SECONDS) -> Iterator[str]:
    """Blobs whose bytes are not those of their name, and old bytes that no blob names."""
    named = set()
    with database.reading() as session:
        for sha256, size in session.execute(sa.select(Blob.sha256, Blob.size).order_by(Blob.sha256)):
            named.add(sha256)
            try:
                content = blobs.read(session, sha256)
            except FileNotFoundError:
                yield f"blob {sha256} has lost its file"
                continue
            if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
                yield f"blob {sha256} of {size} bytes has {len(content)} others"
        for model in session.execute(sa.select(Model.id, Model.parameters, Model.sha256)):
            if model.parameters not in named:
                yield f"{model.id} has lost its parameters"
        chunks = set(session.scalars(sa.select(BlobChunk.sha256).distinct()))
    if database.is_sqlite:
        yield from (f"{path} is {age:.0f} s old, and nothing names it" for path, age in _left(blobs, named)
                    if age > grace_seconds)  # fmt: skip
    elif grace_seconds == 0 and chunks - named:  # chunks have no age
        yield f"chunks are left of {sorted(chunks - named)}"


def _left(blobs: Blobs, named: set[str]) -> Iterator[tuple[Path, float]]:
    for path in blobs.directory.glob("*/*"):
        if path.name not in named:
            yield path, time.time() - path.stat().st_mtime
