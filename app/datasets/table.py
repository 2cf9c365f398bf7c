"""A dataset as NumPy columns: what encodings, splits and trainers read."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

ColumnType = Literal["number", "category", "boolean"]

MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "?")
"""What stands for a missing value, after stripping and in lower case."""

BOOLEAN_CATEGORIES = ("false", "true")


class Column(NamedTuple):
    """One column of m rows.

    ``values`` of a number are float64 (m,) with NaN where missing; of a category or a boolean, int32 (m,)
    codes into ``categories`` with -1 where missing. Categories are in code-point order, as the file has them.
    """

    name: str
    type: ColumnType
    values: NDArray[Any]
    categories: tuple[str, ...] | None = None

    def is_missing(self) -> NDArray[np.bool_]:
        """(m,): True where the value is missing."""
        missing: NDArray[np.bool_] = np.isnan(self.values) if self.categories is None else self.values < 0
        return missing


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a network can use, in the file's order; text columns are not among them."""

    row_count: int
    columns: dict[str, Column]


def save(table: Table, path: Path) -> None:
    """Writes safetensors: the columns as tensors "0", "1", …; their names, types, categories as metadata."""
    columns = list(table.columns.values())
    # One key, since safetensors writes several in any order: the same table is the same bytes.
    described = {
        "row_count": table.row_count,
        "columns": [{"name": c.name, "type": c.type, "categories": c.categories} for c in columns],
    }
    save_file(
        {str(i): c.values for i, c in enumerate(columns)},
        path,
        metadata={"table": json.dumps(described, ensure_ascii=False)},
    )


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
        )
    return Table(table["row_count"], columns)


def fingerprint(
    row_count: int, columns: Iterable[tuple[str, str, NDArray[Any], tuple[str, ...] | None]]
) -> str:
    """SHA-256 of the content: the same for the same data as CSV, gzip or JSON.

    Covers the number of rows, then each column in the file's order (text columns too, as if their distinct
    values were categories): one line of JSON `[name, type, categories]`, and the values, little-endian:
    float64 with one NaN for missing and no minus zero, or int32 codes with -1 for missing.
    """
    digest = hashlib.sha256(b"%d\n" % row_count)
    for name, type_, values, categories in columns:
        digest.update(json.dumps([name, type_, categories], ensure_ascii=False).encode() + b"\n")
        if categories is None:
            values = np.where(np.isnan(values), np.nan, values + 0.0)
        digest.update(np.ascontiguousarray(values, dtype="<f8" if categories is None else "<i4").data)
    return digest.hexdigest()
