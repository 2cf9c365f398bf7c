"""A dataset as NumPy columns: what encodings, splits and trainers read."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ColumnType = Literal["number", "category", "boolean", "date"]

MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "?")
"""What stands for a missing value, after stripping and in lower case."""

BOOLEAN_CATEGORIES = ("false", "true")

FINGERPRINT_ROWS = 1 << 20


class Column(NamedTuple):
    """One column of m rows.

    ``values`` of a number are float64 (m,) with NaN where missing, and so are those of a date: seconds since
    1970, UTC. Of a category or a boolean they are int32 (m,) codes into ``categories`` with -1 where missing.
    Categories are in code-point order, as the file has them. ``date_format`` is how the file writes dates:
    see `moments.FORMATS`.
    """

    name: str
    type: ColumnType
    values: NDArray[Any]
    categories: tuple[str, ...] | None = None
    date_format: str | None = None

    def is_missing(self) -> NDArray[np.bool_]:
        """(m,): True where the value is missing."""
        missing: NDArray[np.bool_] = np.isnan(self.values) if self.categories is None else self.values < 0
        return missing


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a network can use, in the file's order; text columns are not among them."""

    row_count: int
    columns: dict[str, Column]


class Described(NamedTuple):
    """A column before it has values."""

    name: str
    type: str
    categories: tuple[str, ...] | None = None
    date_format: str | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("<f8" if self.categories is None else "<i4")


class Place(NamedTuple):
    """Where a column's values lie in a table's file."""

    path: Path
    offset: int
    rows: int
    dtype: np.dtype[Any]

    def put(self, file: int, first: int, values: NDArray[Any]) -> None:
        """Write the values of the rows from ``first`` on; ``file`` is open for writing."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        os.pwrite(file, content.data, self.offset + first * self.dtype.itemsize)

    def read(self) -> NDArray[Any]:
        """All values, read-only, for as long as they are held: mapped, not copied."""
        if not self.rows:
            return np.array([], dtype=self.dtype)
        return np.memmap(self.path, dtype=self.dtype, mode="r", offset=self.offset, shape=(self.rows,))


def lay_out(row_count: int, columns: Sequence[Described], path: Path) -> list[Place]:
    """Write a table's header, and tell where each column's values go: in parts, since all may be too much.

    The file is safetensors: the columns as tensors "0", "1", …; their names, types, categories as metadata.
    (The package safetensors writes only what is all in memory.)
    """
    described = {"row_count": row_count, "columns": [_told(column) for column in columns]}
    header: dict[str, Any] = {"__metadata__": {"table": json.dumps(described, ensure_ascii=False)}}
    offsets = [0] * len(columns)
    end = 0
    # The wider first, so that all are aligned.
    for i in sorted(range(len(columns)), key=lambda i: -columns[i].dtype.itemsize):
        dtype = columns[i].dtype
        offsets[i], end = end, end + row_count * dtype.itemsize
        name = "F64" if dtype.kind == "f" else "I32"
        header[str(i)] = {"dtype": name, "shape": [row_count], "data_offsets": [offsets[i], end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    start = 8 + len(text)
    return [
        Place(path, start + offset, row_count, column.dtype)
        for offset, column in zip(offsets, columns, strict=True)
    ]


def _told(column: Described) -> dict[str, Any]:
    told = {"name": column.name, "type": column.type, "categories": column.categories}
    return told if column.date_format is None else {**told, "date_format": column.date_format}


def save(table: Table, path: Path) -> None:
    """Writes a table that is in memory; see `lay_out`."""
    columns = list(table.columns.values())
    described = [Described(c.name, c.type, c.categories, c.date_format) for c in columns]
    places = lay_out(table.row_count, described, path)
    with path.open("r+b") as file:
        for place, column in zip(places, columns, strict=True):
            place.put(file.fileno(), 0, column.values)


def load(path: Path) -> Table:
    """Opens what `save` wrote, read-only and memory-mapped: nothing but the header is read until it is used.

    (`safetensors.safe_open` reads whole tensors, so the offsets of its header are used with one np.memmap.)
    """
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_size))
    table = json.loads(header["__metadata__"]["table"])
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + header_size) if len(header) > 1 else b""
    columns = {}
    for i, described in enumerate(table["columns"]):
        start, end = header[str(i)]["data_offsets"]
        categories = described["categories"]
        columns[described["name"]] = Column(
            described["name"],
            described["type"],
            np.frombuffer(data[start:end], dtype="<f8" if categories is None else "<i4"),
            None if categories is None else tuple(categories),
            described.get("date_format"),
        )
    return Table(table["row_count"], columns)


class Content(NamedTuple):
    """What a column's content is, for its fingerprint; of text the digest of its cells in place of values."""

    name: str
    type: str
    categories: tuple[str, ...] | None
    values: NDArray[Any] | bytes


def fingerprint(row_count: int, columns: Iterable[Content]) -> str:
    """SHA-256 of the content: the same for the same data as CSV, JSON or any other format.

    Covers the number of rows, then each column in the file's order: one line of JSON `[name, type,
    categories]`, and the values, little-endian: float64 with one NaN for missing and no minus zero, or int32
    codes with -1 for missing; of text the digest of `TextDigest`.
    """
    digest = hashlib.sha256(b"%d\n" % row_count)
    for name, type_, categories, values in columns:
        digest.update(json.dumps([name, type_, categories], ensure_ascii=False).encode() + b"\n")
        if isinstance(values, bytes):
            digest.update(values)
            continue
        for start in range(0, len(values), FINGERPRINT_ROWS):
            part = values[start : start + FINGERPRINT_ROWS]
            if categories is None:
                part = np.where(np.isnan(part), np.nan, part + 0.0)
            digest.update(np.ascontiguousarray(part, dtype="<f8" if categories is None else "<i4").data)
    return digest.hexdigest()


class TextDigest:
    """Of the cells of a text column, which come in parts: their lengths in bytes of UTF-8, as uint32 with
    2^32 - 1 for a missing one, and apart from these the bytes."""

    def __init__(self) -> None:
        self._lengths, self._bytes = hashlib.sha256(), hashlib.sha256()

    def take(self, lengths: NDArray[np.uint32], content: bytes) -> None:
        self._lengths.update(np.ascontiguousarray(lengths, dtype="<u4").data)
        self._bytes.update(content)

    def digest(self) -> bytes:
        return self._lengths.digest() + self._bytes.digest()
