"""What a file holds, a few megabytes at a time: every format becomes this, and is read from it alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from app.datasets.cells import Cells
from app.errors import Fault

KEPT_BYTES = 64 << 20
"""Cells that are kept from the first reading for the second; what is larger is read again."""


@dataclass(slots=True)
class Source:
    """A table in parts. ``frames`` begins at the first row each time that it is called.

    ``spelled``: all cells are text, and say by their spelling what they are; else each column has a type of
    its own, and text is text. A later frame may have columns that earlier ones lack: no row before has one.
    ``as_sent``: the same with JSON's own types, where those of a column's values in a part are of one kind.
    ``decimal_comma``: whether "1,5" may be a number. ``warnings`` and ``envelope``: what was said beside it.
    """

    frames: Callable[[], Iterator[pl.DataFrame]]
    spelled: bool = True
    decimal_comma: bool = False
    warnings: list[Fault] = field(default_factory=list)
    envelope: dict[str, object] = field(default_factory=dict)
    as_sent: Callable[[], Iterator[pl.DataFrame]] | None = None


class Parts:
    """A source's cells, to be gone through several times: what is not much is read once."""

    def __init__(self, source: Source, prepare: Callable[[pl.DataFrame], Cells]) -> None:
        self._source = source
        self._prepare = prepare
        self._kept: list[Cells] | None = None

    def __iter__(self) -> Iterator[Cells]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Cells] | None = []
        size = 0
        for frame in self._source.frames():
            cells = self._prepare(frame)
            yield cells
            if kept is not None:
                size += int(cells.frame.estimated_size() + cells.numbers.estimated_size())
                kept = [*kept, cells] if size <= KEPT_BYTES else None
        self._kept = kept

    @property
    def are_kept(self) -> bool:
        return self._kept is not None
