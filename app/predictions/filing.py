"""A file of rows -> a file of answers, in a jailed child: see `child`.

The file becomes a table as an upload does, in the types of the model's columns, and is answered a few
thousand rows at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from app.datasets import cells, columnar, corrections, dates, formats, inference
from app.datasets.encoding import Encoding
from app.datasets.features import CategoryFeature
from app.datasets.source import Parts, Source
from app.datasets.survey import Survey, survey
from app.datasets.table import Table, load
from app.datasets.writing import Writer
from app.errors import Fault, InvalidDataset
from app.predictions import answers, carried, media
from app.predictions.carried import Carried
from app.predictions.files import ANSWER, PROGRESS
from app.predictions.fitting import fitted
from app.predictions.outputs import compute

BATCH_ROWS = 8192
FAULT_LIMIT = 20
MATRIX = b"\x93NUMPY"


class Opened(NamedTuple):
    """A file's columns as the model needs them, and its rows as they came, from the first on at each call."""

    table: Table
    frames: Callable[[], Iterator[pl.DataFrame]]


def predict(
    path: Path, directory: Path, answer_type: str, limits: Mapping[str, int], *, own: bool
) -> dict[str, Any]:
    """Answers the rows of the file at `path` by the model in `directory`, with `ANSWER` there.

    ``own``: it is a dataset's Parquet, which was written here.
    Returns {row_count, warnings}: of each code, how many. Raises `InvalidDataset` or `TooLarge`.
    """
    model = carried.read(directory)
    typed = answer_type == media.JSON_LINES
    opened = _open(path, directory, model.encoding, limits, own=own, typed=typed)
    table = opened.table
    counts = {"unknown_category": _unknown_categories(model.encoding, table)}
    batches = _batches(model, opened, directory / PROGRESS)
    counts["not_finite"] = answers.write(directory / ANSWER, answer_type, model, table.row_count, batches)
    return {"row_count": table.row_count, "warnings": {code: n for code, n in counts.items() if n}}


def _open(
    path: Path, directory: Path, encoding: Encoding, limits: Mapping[str, int], *, own: bool, typed: bool
) -> Opened:
    """``typed``: values of JSON come back in its own types, which need not be the same in all parts."""
    source = columnar.own(path) if own else formats.open_source(path, directory, formats.Limits(**limits))
    if _is_matrix(path):
        source = replace(source, frames=partial(_named, source, encoding))
    respelled = {each.name for each in encoding.features if each.type != "number"}
    plain = cells.spelled if source.spelled else partial(cells.typed, respelled=respelled)
    parts = Parts(source, lambda frame: fitted(plain(frame), encoding))
    found = survey(parts, limits["max_columns"])
    names = list(found.columns)
    check_names(encoding, names)
    if not found.row_count:
        message = "There are no rows of data to answer."
        raise InvalidDataset(None, Fault("file", "too_few_rows", message, "Send a header and rows."))
    types = {
        each.name: {"type": each.type} | ({"format": dates.ISO} if each.type == "date" else {})
        for each in encoding.features
    }
    needed = Survey(found.row_count, {name: found.columns[name] for name in types})
    decided, _ = inference.infer(
        parts,
        needed,
        corrections.read(types, names),
        spelled=source.spelled,
        decimal_comma=source.decimal_comma,
    )
    frames = (typed and source.as_sent) or source.frames
    table = directory / "features"
    Writer(decided, needed, table).write(parts, None)
    return Opened(load(table), partial(_as_sent, frames, names))


def _is_matrix(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MATRIX)) == MATRIX


def _named(source: Source, encoding: Encoding) -> Iterator[pl.DataFrame]:
    """A matrix's columns are the model's inputs, in their order."""
    names = [each.name for each in encoding.features]
    for frame in source.frames():
        if frame.width != len(names):
            message = f"The model has {len(names)} inputs; the matrix has {frame.width} columns."
            raise InvalidDataset(None, Fault("file", "wrong_shape", message))
        yield frame.rename(dict(zip(frame.columns, names, strict=True)))


def _as_sent(frames: Callable[[], Iterator[pl.DataFrame]], names: list[str]) -> Iterator[pl.DataFrame]:
    """The rows as they came; a row of JSON Lines may lack a column that another has."""
    for frame in frames():
        lacking = [pl.lit(None, pl.String).alias(name) for name in names if name not in frame.columns]
        yield frame.with_columns(lacking).select(names)


def check_names(encoding: Encoding, names: list[str]) -> None:
    """Raise InvalidDataset for each absent feature, and each column that the training data did not have."""
    features = [feature.name for feature in encoding.features]
    known = sorted({*features, *encoding.other_columns})
    faults = [_missing(name) for name in features if name not in names]
    faults += [_unknown(name, known) for name in names if name not in known]
    if faults:
        raise InvalidDataset("The file's columns do not fit the model's.", *faults[:FAULT_LIMIT])


def _missing(name: str) -> Fault:
    message = "The file has no such column, and the model needs it."
    return Fault(
        f"columns.{name}", "missing_column", message, "Leave its cells empty where values are missing."
    )


def _unknown(name: str, known: list[str]) -> Fault:
    near = get_close_matches(name[:255], known, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else "Leave it out."
    return Fault(f"columns.{name[:255]}", "unknown_column", "The model has no such column.", hint)


def _unknown_categories(encoding: Encoding, table: Table) -> int:
    """How many values no training row has: they were encoded as unknown."""
    count = 0
    for feature in encoding.features:
        if isinstance(feature, CategoryFeature):
            column = table.columns[feature.name]
            seen = {name for name, known in zip(feature.categories, feature.known, strict=True) if known}
            is_new = np.array([*(name not in seen for name in column.categories or ()), False])
            count += int(is_new[column.values].sum())
    return count


def _batches(model: Carried, opened: Opened, progress: Path) -> Iterator[answers.Batch]:
    first = 0
    for frame in opened.frames():
        for start in range(0, frame.height, BATCH_ROWS):
            part = frame.slice(start, BATCH_ROWS)
            x = model.encoding.encode_inputs(opened.table, np.arange(first, first + part.height))
            yield answers.Batch(part, compute(model, x))
            first += part.height
            progress.write_text(str(first))
