"""What a backup, a restoration and a copy have in common: everything goes once from a source to a sink."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from app.backups.rows import Row, Shape, Tally, encode

Progress = Callable[[int, int], None]
"""Is told, now and then, of how many rows and bytes have gone so far."""


class Refused(Exception):
    """It is not done, and the message says what to do about it."""


class Large(NamedTuple):
    """A blob that is too large for its row."""

    sha256: str
    size: int
    parts: Iterator[bytes]


class Source(Protocol):
    """``revision``: of the schema. Its batches come before its large blobs, each is asked for once."""

    revision: str
    shapes: list[Shape]

    def batches(self) -> Iterator[tuple[Shape, list[Row]]]: ...

    def large(self) -> Iterator[Large]: ...

    def finish(self, passed: "Passed") -> None:
        """Raise Refused unless that was all of it, as it was written."""


class Sink(Protocol):
    def take(self, shape: Shape, rows: list[Row], lines: list[bytes]) -> None: ...

    def take_large(self, sha256: str, size: int, parts: Iterator[bytes]) -> None: ...


@dataclass(slots=True)
class Passed:
    """What went by: rows of each table, and large blobs."""

    tables: dict[str, Tally]
    blobs: set[str] = field(default_factory=set)
    rows: int = 0
    size: int = 0

    def answer(self) -> dict[str, Any]:
        return {
            "tables": {name: tally.answer() for name, tally in self.tables.items()},
            "large_blobs": len(self.blobs),
            "bytes": self.size,
        }


def pour(source: Source, sink: Sink | None, progress: Progress) -> Passed:
    """Everything of the source into the sink, if there is one. Raises Refused where bytes are not what their
    name says, or are missing."""
    passed = Passed({shape.name: Tally() for shape in source.shapes})
    named: set[str] = set()
    for shape, rows in source.batches():
        lines = [encode(row) for row in rows]
        passed.tables[shape.name].add(lines)
        passed.rows += len(rows)
        passed.size += sum(map(len, lines))
        if shape.name == "blobs":
            named |= large_of(shape, rows)
        if sink is not None:
            sink.take(shape, rows, lines)
        progress(passed.rows, passed.size)
    for each in source.large():
        parts = _checked(each, passed, progress)
        if sink is not None:
            sink.take_large(each.sha256, each.size, parts)
        for _ in parts:  # a sink that has them already takes none
            pass
        passed.blobs.add(each.sha256)
    if missing := named - passed.blobs:
        raise Refused(f"{len(missing)} large blobs are missing, {min(missing)} is one of them.")
    return passed


def large_of(shape: Shape, rows: list[Row]) -> set[str]:
    """Those of the rows of ``blobs`` whose bytes are elsewhere."""
    places = {name: place for place, (name, _) in enumerate(shape.columns)}
    return {row[places["sha256"]] for row in rows if row[places["data"]] is None}


def _checked(blob: Large, passed: Passed, progress: Progress) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for part in blob.parts:
        digest.update(part)
        size += len(part)
        passed.size += len(part)
        progress(passed.rows, passed.size)
        yield part
    if (digest.hexdigest(), size) != (blob.sha256, blob.size):
        raise Refused(
            f"Blob {blob.sha256} of {blob.size} bytes has {size} others. `chainrule-server check` says what "
            "names it."
        )
