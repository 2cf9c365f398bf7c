"""Answers to a file's rows, as a file: the columns that came, then the predictions. In a jailed child."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from app.predictions import media
from app.predictions.outputs import Answering, values


class Batch(NamedTuple):
    """Rows as they came, and their outputs (k, s_n)."""

    rows: pl.DataFrame
    outputs: NDArray[np.floating[Any]]


def write(path: Path, answer_type: str, model: Answering, row_count: int, batches: Iterator[Batch]) -> int:
    """Write them, never all at once; return how many rows have an output that is not finite."""
    not_finite = 0

    def counted() -> Iterator[Batch]:
        nonlocal not_finite
        for batch in batches:
            not_finite += int((~np.isfinite(batch.outputs).all(axis=1)).sum())
            yield batch

    if answer_type == media.NPY:
        _write_npy(path, model, row_count, counted())
    else:
        frames = (_answered(model, batch) for batch in counted())
        _write_frames(path, answer_type, frames)
    return not_finite


def _answered(model: Answering, batch: Batch) -> pl.DataFrame:
    """The rows with their predictions; null where an output is not finite, and so is no answer."""
    made = values(model, batch.outputs)
    classes, targets = model.encoding.classes, model.encoding.targets
    columns: dict[str, pl.Series | NDArray[Any]] = {}
    if classes is not None:
        finite = np.isfinite(batch.outputs).all(axis=1)
        codes = np.where(finite, batch.outputs.argmax(axis=1), len(classes))
        columns["prediction"] = pl.Series([*classes, None], dtype=pl.String).gather(codes)
        names = [f"probability_{name}" for name in classes]
    else:
        names = ["prediction"] if len(targets) == 1 else [f"prediction_{each.name}" for each in targets]
    columns |= {name: np.ascontiguousarray(made[:, i]) for i, name in enumerate(names)}
    frame = pl.DataFrame(columns).with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in names
    )
    taken = set(batch.rows.columns)
    return batch.rows.hstack(frame.rename({name: _free(name, taken) for name in frame.columns}))


def _free(name: str, taken: set[str]) -> str:
    """The name, longer where the file has a column of that name."""
    while name in taken:
        name += "_"
    return name


def _write_frames(path: Path, answer_type: str, frames: Iterator[pl.DataFrame]) -> None:
    if answer_type in (media.PARQUET, media.ARROW):
        _sink(path, answer_type, frames)
        return
    separator = "\t" if answer_type == media.TSV else ","
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            if answer_type == media.JSON_LINES:
                frame.write_ndjson(file)
            else:
                frame.write_csv(file, separator=separator, include_header=number == 0)


def _sink(path: Path, answer_type: str, frames: Iterator[pl.DataFrame]) -> None:
    """Parquet and Arrow describe themselves at the end: they are written from a stream."""
    first = next(frames)

    def again(*_: object) -> Iterator[pl.DataFrame]:
        yield first
        yield from frames

    stream = register_io_source(again, schema=first.schema)
    if answer_type == media.PARQUET:
        stream.sink_parquet(path, compression="zstd", engine="streaming")
    else:
        stream.sink_ipc(path, engine="streaming")


def _write_npy(path: Path, model: Answering, row_count: int, batches: Iterable[Batch]) -> None:
    matrix, start = None, 0
    for batch in batches:
        made = values(model, batch.outputs)
        if matrix is None:
            matrix = np.lib.format.open_memmap(path, "w+", made.dtype, (row_count, made.shape[1]))
        matrix[start : start + len(made)] = made
        start += len(made)
