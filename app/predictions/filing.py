"""A file of rows -> a file of answers, in a jailed child: see `child`.

The file becomes a table as an upload does, in the types of the model's columns, and is answered a few
thousand rows at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from app.datasets import inference, parsing, unpacking
from app.datasets.encoding import Encoding
from app.datasets.features import CategoryFeature
from app.datasets.table import Column, Table
from app.errors import Fault, InvalidDataset
from app.predictions import answers, carried
from app.predictions.carried import Carried
from app.predictions.files import ANSWER, PROGRESS
from app.predictions.outputs import compute

BATCH_ROWS = 8192
FAULT_LIMIT = 20


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
    opened = _open(path, directory, model.encoding, limits, own=own)
    table = opened.table
    counts = {"unknown_category": _unknown_categories(model.encoding, table)}
    batches = _batches(model, opened, directory / PROGRESS)
    counts["not_finite"] = answers.write(directory / ANSWER, answer_type, model, table.row_count, batches)
    return {"row_count": table.row_count, "warnings": {code: n for code, n in counts.items() if n}}


def _open(path: Path, directory: Path, encoding: Encoding, limits: Mapping[str, int], *, own: bool) -> Opened:
    if own:
        frame = pl.read_parquet(path).cast(pl.String)
    else:
        plain = unpacking.unpack(path, directory, limits["max_expanded_bytes"], limits["max_ratio"])
        frame, _, _ = parsing._read(plain, limits["max_columns"])
    check_names(encoding, frame.columns)
    if not frame.height:
        message = "There are no rows of data to answer."
        raise InvalidDataset(None, Fault("file", "too_few_rows", message, "Send a header and rows."))
    types = {each.name: {"type": each.type} for each in encoding.features}
    needed = frame.select(list(types))
    columns = inference.infer(needed, inference.read_corrections(types, needed.columns))
    table = Table(
        frame.height,
        {
            c.name: Column(c.name, each.type, c.values, c.categories)
            for c, each in zip(columns, encoding.features, strict=True)
        },
    )
    return Opened(table, lambda: iter([frame]))


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
