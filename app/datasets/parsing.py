"""Bytes of an upload -> two files and a description. Runs in a jailed child: see `child` and `jail`."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from app.datasets import cells, columnar, formats, inference
from app.datasets.corrections import Correction
from app.datasets.corrections import read as read_corrections
from app.datasets.inference import Decided
from app.datasets.naming import ROWS
from app.datasets.profile import profile
from app.datasets.source import Parts, Source
from app.datasets.survey import Survey, survey
from app.datasets.table import Content, fingerprint
from app.datasets.typed import TypedColumn
from app.datasets.writing import Writer, corrections_in
from app.datasets.writing import rehearse as rehearse_writing
from app.errors import Fault, InvalidDataset

PARQUET = "table.parquet"
TABLE = "table.safetensors"
HELD_BYTES = 64 << 20


def parse(
    path: Path,
    directory: Path,
    corrections: Mapping[str, Any],
    max_columns: int,
    max_expanded_bytes: int,
    max_ratio: int,
    charset: str | None = None,
    *,
    own: bool = False,
) -> dict[str, Any]:
    """Reads a file of any of the `formats`, by content, and writes `PARQUET` and `TABLE` in `directory`.

    ``own``: it is a Parquet that was written here, and no bomb however well it is compressed.
    Returns {row_count, sha256, columns, warnings, envelope}; raises `InvalidDataset` or `TooLarge`.
    """
    limits = formats.Limits(max_columns, max_expanded_bytes, max_ratio)
    source = columnar.own(path) if own else formats.open_source(path, directory, limits, charset)
    return _typed(source, directory, corrections, max_columns)


def retype(parquet: Path, directory: Path, corrections: Mapping[str, Any]) -> dict[str, Any]:
    """As `parse`, of a Parquet that was written here, whose other columns stay as they are."""
    return _typed(columnar.own(parquet), directory, corrections, 2**31, corrections_in(parquet))


def rebuild(parquet: Path, directory: Path) -> dict[str, object]:
    """Writes `TABLE` in `directory` from a Parquet file that `parse` wrote, and returns {row_count}."""
    kept = corrections_in(parquet)
    parts = Parts(columnar.own(parquet), cells.typed)
    found = survey(parts, len(kept))
    decided, _ = inference.infer(parts, found, {}, spelled=False, kept=kept)
    Writer(decided, found, directory / TABLE).write(parts, None)
    return {"row_count": found.row_count}


def rehearse() -> None:
    """Does all of `parse` on next to nothing: first uses import and compile for some 50 ms."""
    sample = pl.DataFrame({"a": ["1", "x"], "b": ["1", ""], "c": ["true", "false"], "d": ["2024-01-31", ""]})
    parts = Parts(Source(lambda: iter([sample])), cells.spelled)
    found = survey(parts, len(sample.columns))
    decided, _ = inference.infer(parts, found, {}, spelled=True)
    rehearse_writing(decided, next(iter(parts)))
    sample.write_parquet(BytesIO())
    pl.read_csv(b"a", has_header=False, quote_char=None, schema={"a": pl.String})


def _typed(
    source: Source,
    directory: Path,
    corrections: Mapping[str, Any],
    max_columns: int,
    kept: Mapping[str, Correction] | None = None,
) -> dict[str, Any]:
    respelled = set(corrections)
    prepare = cells.spelled if source.spelled else partial(cells.typed, respelled=respelled)
    parts = Parts(source, prepare)
    found = survey(parts, max_columns)
    if found.row_count < 2:
        message = f"There are {found.row_count} rows of data; training needs at least 2."
        raise InvalidDataset(None, Fault("file", "too_few_rows", message, ROWS))
    names = list(found.columns)
    own = source.envelope.pop("columns", None)
    wanted = {} if own is None else read_corrections(own, names)
    wanted |= read_corrections(corrections, names)
    if words := {name: each.missing for name, each in wanted.items() if each.missing}:
        parts = Parts(source, lambda frame: cells.blanked(prepare(frame), words))
        found = survey(parts, max_columns)
    decided, guesses = inference.infer(
        parts, found, wanted, spelled=source.spelled, decimal_comma=source.decimal_comma, kept=kept
    )
    writer = Writer(decided, found, directory / TABLE)
    writer.write(parts, directory / PARQUET)
    columns = _columns(decided, found, writer)
    described, asides = profile(columns, writer.duplicate_rows())
    return {
        "row_count": found.row_count,
        "sha256": fingerprint(found.row_count, map(_content, columns, [writer] * len(columns))),
        "columns": described,
        "warnings": [asdict(warning) for warning in [*source.warnings, *guesses, *asides]],
        "envelope": source.envelope,
    }


def _columns(decided: list[Decided], found: Survey, writer: Writer) -> list[TypedColumn]:
    hold = 8 * found.row_count * len(decided) <= HELD_BYTES
    return [TypedColumn(each, found.row_count, writer.places.get(each.name), hold) for each in decided]


def _content(column: TypedColumn, writer: Writer) -> Content:
    text = writer.texts.get(column.name)
    values = column.values if text is None else text.digest()
    return Content(column.name, column.type, None if text else column.categories, values)
