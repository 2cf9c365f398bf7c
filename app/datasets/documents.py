"""JSON -> a frame of strings: an array of row objects, JSON Lines, or an envelope with "rows" or "data"."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from app.datasets.naming import EMPTY, ROWS, check_count, check_names
from app.errors import Fault, InvalidDataset

ENVELOPE = ("name", "metadata", "shared", "columns", "rows", "data")
DEEP = "It is nested too deeply."
FLAT = "A cell is a number or text."


class Document(NamedTuple):
    """``envelope``: the members beside the data, unchecked: name, metadata, shared, columns."""

    frame: pl.DataFrame
    envelope: dict[str, object]


def read(path: Path, max_columns: int) -> Document:
    """Numbers are spelled so that they read back to the same bits; true is "true", null is missing."""
    content = _loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, list):
        return Document(_from_rows(content, max_columns), {})
    if not isinstance(content, dict):
        raise _invalid("file", "invalid_json", "Expected an array of row objects, or an object with rows.")
    if unknown := [name for name in content if name not in ENVELOPE]:
        message = f"Expected only {', '.join(ENVELOPE)}."
        faults = [Fault(name[:255], "unknown_field", message) for name in unknown[:20]]
        raise InvalidDataset(None, *faults)
    if ("rows" in content) == ("data" in content):
        raise _invalid("rows", "missing_field", 'Give either "rows" or "data".')
    envelope = {name: value for name, value in content.items() if name not in ("rows", "data")}
    _check_finite(envelope)
    if "rows" in content:
        return Document(_from_rows(content["rows"], max_columns), envelope)
    return Document(_from_lists(content["data"], max_columns), envelope)


def _check_finite(envelope: dict[str, object]) -> None:
    """It goes on as JSON, which has no such numbers; what else may be wrong in it is told by its schema."""
    for name, value in envelope.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise _invalid(name, "not_finite", "A number in it is not finite.", "Leave it out.") from None
        except RecursionError:
            raise _invalid(name, "invalid_json", DEEP, FLAT) from None


def _from_rows(rows: object, max_columns: int) -> pl.DataFrame:
    if not isinstance(rows, list):
        raise _invalid("rows", "wrong_type", "Expected an array of row objects.")
    names: dict[str, None] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _invalid(f"rows[{i}]", "wrong_type", "Expected an object with a member per column.")
        if not row.keys() <= names.keys():
            names.update(dict.fromkeys(row))
            check_count(len(names), max_columns)
    return _frame((name, _spelled((row.get(name) for row in rows), ("rows[", f"].{name}"))) for name in names)


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
    return _frame((name, _spelled(values, (f"data.{name}[", "]"))) for name, values in data.items())


def _frame(columns: Iterable[tuple[str, list[str | None]]]) -> pl.DataFrame:
    spelled = list(columns)
    names = [name.strip() for name, _ in spelled]
    check_names(names)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=pl.String) for name, (_, values) in zip(names, spelled, strict=True)]
    )


def _spelled(values: Iterable[object], around_row: tuple[str, str]) -> list[str | None]:
    spelled: list[str | None] = []
    for i, value in enumerate(values):
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
                str(i).join(around_row), "nested_value", "Expected a number, a string, a boolean or null."
            )
    return spelled


def _loads(text: str) -> Any:
    if not text.strip():
        raise _invalid("file", "empty_file", "The file holds nothing but blank lines.", ROWS)
    try:
        content = _strict(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if not (error.msg == "Extra data" and len(lines) > 1):
            raise _invalid("file", "invalid_json", f"{error.msg} at line {error.lineno}.") from error
        content = [_line(i, line) for i, line in enumerate(lines)]
    if "\\" in text:
        for string in _strings(content):
            if "\0" in string:
                raise _invalid("file", "nul_character", "A string holds a NUL character.", "Leave it out.")
            if not string.isascii() and any("\ud800" <= c <= "\udfff" for c in string):
                message = "A string holds half of a surrogate pair."
                raise _invalid("file", "lone_surrogate", message, "Write characters as they are, in UTF-8.")
    return content


def _line(index: int, line: str) -> Any:
    try:
        return _strict(line)
    except json.JSONDecodeError as error:
        raise _invalid("file", "invalid_json", f"{error.msg} at line {index + 1}.") from error


def _strict(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_members)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise _invalid("file", "invalid_json", DEEP, FLAT) from error
    except ValueError as error:
        raise _invalid("file", "infinite_number", "A number has too many digits.", EMPTY) from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _invalid("file", "duplicate_key", "An object has the same member twice.", "Send one of them.")
    return members


def _strings(content: Any) -> Iterator[str]:
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())


def _invalid(param: str, code: str, message: str, hint: str | None = None) -> InvalidDataset:
    return InvalidDataset(None, Fault(param, code, message, hint))
