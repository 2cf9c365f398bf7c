"""JSON -> frames of strings: an array of row objects, JSON Lines, or an envelope with "rows" or "data"."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from app.datasets import generating, json_stream
from app.datasets.json_stream import WHITESPACE
from app.datasets.naming import EMPTY, check_count, check_names
from app.datasets.source import Source
from app.errors import Fault, InvalidDataset, TooLarge

BLOCK = 1 << 20
BATCH_ROWS = 8_192
BATCH_CELLS = 200_000
ENVELOPE_BYTES = 64 << 20
BATCH_VALUES = 100_000
EXACT = 2**53
DATA = ("rows", "data", "generate")
ENVELOPE = ("name", "metadata", "shared", "columns", *DATA)


Column = Callable[[list[object], tuple[str, str], int], pl.Series]


def open_source(path: Path, max_columns: int) -> Source:
    """Numbers are spelled so that they read back to the same bits; true is "true", null is missing.

    An array of rows and JSON Lines are read a few megabytes at a time, an envelope as a whole.
    """
    with path.open(encoding="utf-8-sig") as text:
        start = text.read(BLOCK).lstrip(WHITESPACE)
    if start.startswith("["):
        return _source(partial(json_stream.elements, path), max_columns)
    if start.startswith("{") and _is_lines(start):
        return _source(partial(json_stream.lines, path), max_columns)
    if path.stat().st_size > ENVELOPE_BYTES:
        message = f"An object with rows or data may have {ENVELOPE_BYTES} bytes: it is read as a whole."
        hint = "Send JSON Lines, one row object per line, or an array of row objects."
        raise TooLarge(message, Fault("file", "out_of_range", message, hint))
    return _from_envelope(json_stream.loads(path.read_text(encoding="utf-8-sig")), max_columns)


def _is_lines(start: str) -> bool:
    """Whether the first line is an object by itself, and there is another line."""
    first, _, rest = start.partition("\n")
    if not rest.strip(WHITESPACE):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        # Too deep, or it goes on: what is no envelope either is named when it is read.
        return rest.lstrip(WHITESPACE).startswith("{") and first.rstrip(WHITESPACE).endswith("}")


def _from_envelope(content: Any, max_columns: int) -> Source:
    if not isinstance(content, dict):
        raise _invalid("file", "invalid_json", "Expected an array of row objects, or an object with rows.")
    if unknown := [name for name in content if name not in ENVELOPE]:
        message = f"Expected only {', '.join(ENVELOPE)}."
        hint = 'An object of columns goes into "data", an array of rows into "rows".'
        faults = [Fault(name[:255], "unknown_field", message, hint) for name in unknown[:20]]
        raise InvalidDataset(None, *faults)
    if sum(name in content for name in DATA) != 1:
        raise _invalid("rows", "missing_field", 'Give "rows", "data" or "generate": one of them.')
    envelope = {name: value for name, value in content.items() if name not in DATA}
    _check_finite(envelope)
    if "generate" in content:
        source = generating.open_source(content["generate"])
        source.envelope.update(envelope)
        return source
    if "rows" not in content:
        frame = _from_lists(content["data"], max_columns)
        return Source(lambda: iter([frame]), envelope=envelope)
    rows = content["rows"]
    if not isinstance(rows, list):
        raise _invalid("rows", "wrong_type", "Expected an array of row objects.")
    source = _source(partial(iter, rows), max_columns)
    source.envelope.update(envelope)
    return source


def _source(rows: Callable[[], Iterator[Any]], max_columns: int) -> Source:
    return Source(
        lambda: _framed(rows(), max_columns, _strings), as_sent=lambda: _framed(rows(), max_columns, _typed)
    )


def _check_finite(envelope: dict[str, object]) -> None:
    """It goes on as JSON, which has no such numbers; what else may be wrong in it is told by its schema."""
    for name, value in envelope.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise _invalid(name, "not_finite", "A number in it is not finite.", "Leave it out.") from None
        except RecursionError:
            raise json_stream.too_deep(name) from None


def _framed(rows: Iterator[Any], max_columns: int, column: Column) -> Iterator[pl.DataFrame]:
    """Frames of at most `BATCH_CELLS`; each names the columns that are known by then, in first-seen order."""
    names: dict[str, None] = {}
    first = 0
    while True:
        count = min(BATCH_ROWS, max(1, BATCH_CELLS // max(1, len(names))))
        batch = list(islice(rows, count))
        if not batch:
            return
        for i, row in enumerate(batch):
            if not isinstance(row, dict):
                message = "Expected an object with a member per column."
                hint = 'Send {"a": 1, "b": 2} for each row, or {"data": {"a": [1, …], "b": [2, …]}}.'
                raise _invalid(f"rows[{first + i}]", "wrong_type", message, hint)
            if not row.keys() <= names.keys():
                names.update(dict.fromkeys(row))
                check_count(len(names), max_columns)
        if names:
            yield _frame(
                (name, column([row.get(name) for row in batch], ("rows[", f"].{name}"), first))
                for name in names
            )
        first += len(batch)


def _from_lists(data: object, max_columns: int) -> pl.DataFrame:
    if not isinstance(data, dict):
        raise _invalid("data", "wrong_type", "Expected an object with an array per column.")
    check_count(len(data), max_columns)
    lengths = {}
    for name, values in data.items():
        if not isinstance(values, list):
            raise _invalid(f"data.{name}", "wrong_type", "Expected an array of values.")
        lengths[name] = len(values)
        if len(values) != next(iter(lengths.values())):
            message = f"It has {len(values)} values; the first column has {next(iter(lengths.values()))}."
            raise _invalid(f"data.{name}", "ragged_column", message, "Send null for a missing value.")
    return _frame((name, _column(values, (f"data.{name}[", "]"))) for name, values in data.items())


def _frame(columns: Iterable[tuple[str, pl.Series]]) -> pl.DataFrame:
    spelled = list(columns)
    names = [name.strip() for name, _ in spelled]
    check_names(names)
    return pl.DataFrame([cells.alias(name) for name, (_, cells) in zip(names, spelled, strict=True)])


def _column(values: list[object], around_row: tuple[str, str]) -> pl.Series:
    """A part at a time: a cell takes eight times as much in Python as in Polars."""
    starts = range(0, max(1, len(values)), BATCH_VALUES)
    return pl.concat([_strings(values[i : i + BATCH_VALUES], around_row, i) for i in starts])


def _strings(values: list[object], around_row: tuple[str, str], first: int) -> pl.Series:
    return pl.Series(_spelled(values, around_row, first), dtype=pl.String)


def _typed(values: list[object], around_row: tuple[str, str], first: int) -> pl.Series:
    """As they are in JSON, if all that are there are numbers, or booleans; else strings."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    if kinds and kinds <= {int, float} and all(abs(v) <= EXACT for v in values if type(v) is int):
        return pl.Series(values, dtype=pl.Int64 if kinds == {int} else pl.Float64, strict=False)
    return _strings(values, around_row, first)


def _spelled(values: Iterable[object], around_row: tuple[str, str], first: int = 0) -> list[str | None]:
    spelled: list[str | None] = []
    for i, value in enumerate(values, first):
        if value is None or type(value) is str:
            spelled.append(value)
        elif type(value) is bool:
            spelled.append("true" if value else "false")
        elif type(value) is float:
            if not math.isfinite(value):
                place = str(i).join(around_row)
                if math.isnan(value):
                    raise _invalid(place, "not_finite", "NaN is not a number in JSON.", EMPTY)
                raise _invalid(place, "infinite_number", "The number is too large.", EMPTY)
            spelled.append(repr(value))
        elif type(value) is int:
            spelled.append(str(value))
        else:
            raise _invalid(
                str(i).join(around_row),
                "nested_value",
                "Expected a number, a string, a boolean or null.",
                "Give each of its parts a column, or leave it out.",
            )
    return spelled


def _invalid(param: str, code: str, message: str, hint: str | None = None) -> InvalidDataset:
    return InvalidDataset(None, Fault(param, code, message, hint))
