"""Typed columns -> the Parquet that is kept and the table that is computed with, part by part."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from app.datasets import amounts, dates
from app.datasets.cells import Cells
from app.datasets.corrections import Correction
from app.datasets.inference import Decided
from app.datasets.source import Parts
from app.datasets.spelling import DIGIT_TRUTH, TRUTH
from app.datasets.survey import Survey
from app.datasets.table import Described, Place, TextDigest, lay_out

TYPES_KEY = "chainrule.types"
"""The Parquet metadata that tells a category from text, strings alike, and how dates were written."""

ROW_GROUP_ROWS = 131_072
ROW_GROUP_CELLS = 4 << 20
HASHED_ROWS = 20_000_000
MICROSECONDS = 1e6

Read = Callable[[Cells, str], pl.Series]


class Writer:
    """Writes a table's file, and a Parquet where one is wanted, from the frames of a survey."""

    def __init__(self, columns: Sequence[Decided], found: Survey, table: Path) -> None:
        self._columns = columns
        self._found = found
        self._read = {column.name: _reader(column) for column in columns}
        described = [
            Described(c.name, c.type, c.categories, c.date_format) for c in columns if c.type != "text"
        ]
        self.places: dict[str, Place] = dict(
            zip((each.name for each in described), lay_out(found.row_count, described, table), strict=True)
        )
        self.texts = {column.name: TextDigest() for column in columns if column.type == "text"}
        self._table = table
        self._hashes: list[NDArray[np.uint64]] = []

    def write(self, parts: Parts, parquet: Path | BytesIO | None) -> None:
        typed = self._typed(parts)
        if parquet is None:
            for _ in typed:
                pass
            return
        rows = max(1, min(ROW_GROUP_ROWS, ROW_GROUP_CELLS // len(self._columns)))
        told = {TYPES_KEY: _told(self._columns)}
        if parts.are_kept:
            whole = pl.concat(list(typed))
            whole.write_parquet(parquet, compression="zstd", row_group_size=rows, metadata=told)
            return

        def again(*_: object) -> Iterator[pl.DataFrame]:
            return typed

        schema = {column.name: _DTYPES[column.type] for column in self._columns}
        stream = register_io_source(again, schema=schema)
        stream.sink_parquet(
            parquet, compression="zstd", row_group_size=rows, metadata=told, engine="streaming"
        )

    def duplicate_rows(self) -> int:
        """How many rows are, in every column, the same as one before them (by a hash of 64 bits); 0 where
        there are too many to tell.
        """
        if not self._hashes:
            return 0
        hashes = np.concatenate(self._hashes)
        return len(hashes) - len(np.unique(hashes))

    def _typed(self, parts: Parts) -> Iterator[pl.DataFrame]:
        schema = {facts.name: facts.dtype for facts in self._found.columns.values()}
        first = 0
        with self._table.open("r+b") as file:
            for part in parts:
                cells = part.aligned(schema)
                typed = [self._read[name](cells, name) for name in schema]
                for column, series in zip(self._columns, typed, strict=True):
                    if column.type == "text":
                        _digest(self.texts[column.name], series)
                    else:
                        self.places[column.name].put(file.fileno(), first, _values(column, series))
                first += part.height
                frame = pl.DataFrame(typed)
                if self._found.row_count <= HASHED_ROWS:
                    self._hashes.append(frame.hash_rows().to_numpy())
                yield frame


def rehearse(columns: Sequence[Decided], cells: Cells) -> None:
    """Convert some cells, and write nothing: what is done for the first time takes longer."""
    for column in columns:
        series = _reader(column)(cells, column.name)
        if column.type != "text":
            _values(column, series)


def corrections_in(parquet: Path) -> dict[str, Correction]:
    """What a Parquet that was written here says of its columns."""
    told: dict[str, Any] = json.loads(pl.read_parquet_metadata(parquet)[TYPES_KEY])
    kept = {}
    for name, said in told.items():
        said = {"type": said} if isinstance(said, str) else said
        categories = said.get("categories")
        kept[name] = Correction(said["type"], said.get("format"), tuple(categories) if categories else None)
    return kept


def _told(columns: Sequence[Decided]) -> str:
    told: dict[str, Any] = {}
    for column in columns:
        told[column.name] = {"type": column.type}
        if column.type == "boolean":
            told[column.name]["categories"] = column.categories
        if column.date_format is not None:
            told[column.name]["format"] = column.date_format
    return json.dumps(told, ensure_ascii=False)


_DTYPES: Mapping[str, Any] = {
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Datetime("us"),
    "category": pl.String,
    "text": pl.String,
}


def _reader(column: Decided) -> Read:
    match column.type:
        case "number" if column.spelling is not None:
            spelling = column.spelling
            return lambda cells, name: amounts.read(cells.frame[name], spelling)
        case "number":
            return lambda cells, name: cells.numbers[name]
        case "boolean":
            return _truth
        case "date":
            form = column.date_format or dates.ISO
            return lambda cells, name: _moments(cells.frame[name], form)
    return lambda cells, name: cells.frame[name]


def _truth(cells: Cells, name: str) -> pl.Series:
    found = cells.frame[name]
    if found.dtype == pl.Boolean:
        return found
    words = TRUTH | DIGIT_TRUTH
    return found.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)


def _moments(cells: pl.Series, form: str) -> pl.Series:
    return dates.read(cells, form) if cells.dtype == pl.String else cells


def _values(column: Decided, series: pl.Series) -> NDArray[Any]:
    match column.type:
        case "number":
            return series.to_numpy()
        case "date":
            return series.to_physical().cast(pl.Float64).to_numpy() / MICROSECONDS
        case "boolean":
            return _codes(series.cast(pl.Int32))
    return _codes(series.cast(pl.Enum(list(column.categories or ()))).to_physical())


def _codes(series: pl.Series) -> NDArray[np.int32]:
    return series.cast(pl.Int32).fill_null(-1).to_numpy()


def _digest(digest: TextDigest, cells: pl.Series) -> None:
    lengths = cells.str.len_bytes().cast(pl.UInt32).fill_null(2**32 - 1).to_numpy()
    digest.take(lengths, "".join(cells.drop_nulls().to_list()).encode())
