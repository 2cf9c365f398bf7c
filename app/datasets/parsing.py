"""Bytes of an upload -> two files and a description. Runs in a jailed child: see `child` and `jail`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from app.datasets import delimited, documents, inference, unpacking
from app.datasets.inference import Type, TypedColumn
from app.datasets.naming import ROWS
from app.datasets.profile import profile
from app.datasets.table import Column, Table, fingerprint, save
from app.errors import Fault, InvalidDataset

PARQUET = "table.parquet"
TABLE = "table.safetensors"
TYPES_KEY = "chainrule.types"
"""The Parquet metadata that tells a category from text, which are strings alike."""


def parse(
    path: Path,
    directory: Path,
    corrections: Mapping[str, Any],
    max_columns: int,
    max_expanded_bytes: int,
    max_ratio: int,
) -> dict[str, Any]:
    """Reads CSV, TSV or JSON, plain or gzip, by content, and writes `PARQUET` and `TABLE` in `directory`.

    Returns {row_count, sha256, columns, warnings, envelope}; raises `InvalidDataset` or `TooLarge`.
    """
    plain = unpacking.unpack(path, directory, max_expanded_bytes, max_ratio)
    try:
        frame, warnings, envelope = _read(plain, max_columns)
    finally:
        if plain != path:
            plain.unlink()
    if frame.height < 2:
        message = f"There are {frame.height} rows of data; training needs at least 2."
        raise InvalidDataset(None, Fault("file", "too_few_rows", message, ROWS))
    own = envelope.pop("columns", None)
    wanted = {} if own is None else inference.read_corrections(own, frame.columns)
    wanted |= inference.read_corrections(corrections, frame.columns)
    columns = inference.infer(frame, wanted)
    del frame
    described, asides = profile(columns)
    _write_parquet(columns, directory / PARQUET)
    save(_table(columns), directory / TABLE)
    content = ((c.name, c.type, c.values, c.categories) for c in columns)
    return {
        "row_count": len(columns[0].values),
        "sha256": fingerprint(len(columns[0].values), content),
        "columns": described,
        "warnings": [asdict(warning) for warning in warnings + asides],
        "envelope": envelope,
    }


def rebuild(parquet: Path, directory: Path) -> dict[str, object]:
    """Writes `TABLE` in `directory` from a Parquet file that `parse` wrote, and returns {row_count}."""
    types: dict[str, Type] = json.loads(pl.read_parquet_metadata(parquet)[TYPES_KEY])
    columns = [_typed(series, types[series.name]) for series in pl.read_parquet(parquet).iter_columns()]
    table = _table(columns)
    save(table, directory / TABLE)
    return {"row_count": table.row_count}


def rehearse() -> None:
    """Does all of `parse` on next to nothing, in memory: first uses import and compile for some 50 ms."""
    sample = pl.DataFrame({"a": ["1", "x"], "b": ["1", ""], "c": ["true", "false"]})
    columns = inference.infer(sample, {})
    profile(columns)
    _write_parquet(columns, BytesIO())
    pl.read_csv(b"a", has_header=False, quote_char=None, schema={"a": pl.String})


def _read(path: Path, max_columns: int) -> tuple[pl.DataFrame, list[Fault], dict[str, object]]:
    unpacking.check_text(path)
    with path.open(encoding="utf-8-sig") as text:
        start = text.read(4096).lstrip()
    if start.startswith(("{", "[")):
        frame, envelope = documents.read(path, max_columns)
        return frame, [], envelope
    frame, warnings = delimited.read(path, max_columns)
    return frame, warnings, {}


def _typed(series: pl.Series, kind: Type) -> TypedColumn:
    match kind:
        case "number":
            return inference.number(series, corrected=False)
        case "boolean":
            return inference.boolean(series, corrected=False)
    return inference.string(series, kind, corrected=False)


def _table(columns: list[TypedColumn]) -> Table:
    return Table(
        len(columns[0].values),
        {c.name: Column(c.name, c.type, c.values, c.categories) for c in columns if c.type != "text"},
    )


def _write_parquet(columns: list[TypedColumn], file: Path | BytesIO) -> None:
    types = json.dumps({column.name: column.type for column in columns}, ensure_ascii=False)
    frame = pl.DataFrame([column.series for column in columns])
    frame.write_parquet(file, compression="zstd", metadata={TYPES_KEY: types})
