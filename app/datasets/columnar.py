"""Parquet and Arrow IPC -> frames of typed columns. Polars reads them; what it is given is checked before."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl

from app.datasets import arrow_stream
from app.datasets.naming import check_count
from app.datasets.source import Source
from app.datasets.system import is_the_files_fault
from app.errors import Fault, InvalidDataset, TooLarge

BATCH_CELLS = 500_000
BATCH_ROWS = 65_536
CELL_BYTES = 131_072
TEXT_BYTES = 16 << 20
FREE_BYTES = 256 << 20
"""Values of so many bytes are never a bomb, whatever their file's size."""

TEMPORAL = (pl.Date, pl.Datetime, pl.Time, pl.Duration)
PLAIN = (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null, *TEMPORAL)

Scan = Callable[[], pl.LazyFrame]


def open_parquet(path: Path, max_columns: int, max_bytes: int, max_ratio: int) -> Source:
    """Raises InvalidDataset, for nested columns too, and TooLarge."""
    return _checked(partial(pl.scan_parquet, path, glob=False), path, max_columns, max_bytes, max_ratio)


def open_arrow(path: Path, max_columns: int, max_bytes: int, max_ratio: int) -> Source:
    """The file format, which ends with what begins it."""
    with path.open("rb") as file:
        file.seek(-6, 2)
        if file.read(6) != b"ARROW1":
            raise arrow_stream.unreadable()
    return _checked(partial(pl.scan_ipc, path, glob=False), path, max_columns, max_bytes, max_ratio)


def open_arrow_stream(path: Path, max_columns: int, max_bytes: int, max_ratio: int) -> Source:
    """The streaming format."""
    with reading():
        schema = arrow_stream.schema(path)
        rows = arrow_stream.row_count(path)
    _check(schema, rows, path, max_columns, max_bytes, max_ratio)
    return Source(lambda: _in_batches(arrow_stream.frames(path), len(schema)), spelled=False)


def own(parquet: Path) -> Source:
    """A Parquet that was written here."""
    scan = partial(pl.scan_parquet, parquet, glob=False)
    return Source(lambda: _frames(scan, len(scan().collect_schema())), spelled=False)


class reading:  # noqa: N801 (reads as a statement)
    """Whatever Polars raises in this block is the file's fault, but for want of memory or of room."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        mine = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OverflowError, OSError)
        if isinstance(error, mine) and is_the_files_fault(error):
            raise arrow_stream.unreadable() from error


def _checked(scan: Scan, path: Path, max_columns: int, max_bytes: int, max_ratio: int) -> Source:
    with reading():
        schema = scan().collect_schema()
        check_count(len(schema), max_columns)
        rows = int(scan().select(pl.len()).collect().item())
    _check(schema, rows, path, max_columns, max_bytes, max_ratio)
    return Source(lambda: _frames(scan, len(schema)), spelled=False)


def _check(
    schema: pl.Schema, rows: int, path: Path, max_columns: int, max_bytes: int, max_ratio: int
) -> None:
    check_count(len(schema), max_columns)
    _check_types(schema)
    limit = min(2 * max_bytes, max(FREE_BYTES, path.stat().st_size * max_ratio))
    if rows * max(1, len(schema)) * 8 > limit:
        message = f"It expands to more than {limit} bytes."
        fault = Fault("file", "decompressed_too_large", message, "Send fewer rows or columns.")
        raise TooLarge("The file expands to more than this server takes.", fault)


def _check_types(schema: pl.Schema) -> None:
    faults = []
    for name, dtype in schema.items():
        if not (dtype.is_numeric() or isinstance(dtype, PLAIN)):
            kind = "nested" if dtype.is_nested() else "of bytes or objects"
            message = f"Column '{name[:255]}' is {kind}; a cell is a number, text, a boolean or a date."
            hint = "Leave it out, or give each of its parts a column."
            faults.append(Fault(f"columns.{name[:255]}", "nested_value", message, hint))
    if faults:
        raise InvalidDataset("The file has columns that are no table's.", *faults[:20])


def _frames(scan: Scan, width: int) -> Iterator[pl.DataFrame]:
    with reading():
        batches = scan().collect_batches(chunk_size=_rows_of(width), maintain_order=True, engine="streaming")
    yield from _in_batches(iter(batches), width)


def _rows_of(width: int) -> int:
    return min(BATCH_ROWS, max(1, BATCH_CELLS // max(1, width)))


def _in_batches(batches: Iterator[pl.DataFrame], width: int) -> Iterator[pl.DataFrame]:
    size = _rows_of(width)
    while True:
        with reading():
            batch = next(batches, None)
        if batch is None:
            return
        for start in range(0, batch.height, size):
            yield from _in_parts(batch.slice(start, size))


def _in_parts(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts with little text each: a dictionary may say a long one many times, at next to no cost."""
    frame = frame.rename({name: name.strip() for name in frame.columns}, strict=False)
    text = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.String)]
    if not text:
        yield frame
        return
    lengths = frame.select(pl.col(text).str.len_bytes())
    for name, longest in zip(text, lengths.max().row(0), strict=True):
        if longest is not None and longest > CELL_BYTES:
            message = f"Column '{name[:255]}' has a cell of {longest} bytes; a cell may have {CELL_BYTES}."
            hint = "Leave the column out."
            raise InvalidDataset(None, Fault(f"columns.{name[:255]}", "out_of_range", message, hint))
    total = sum(int(each or 0) for each in lengths.sum().row(0))
    parts = min(frame.height, 1 + total // TEXT_BYTES)
    size = -(-frame.height // max(1, parts))
    for start in range(0, frame.height, max(1, size)):
        yield frame.slice(start, size)
