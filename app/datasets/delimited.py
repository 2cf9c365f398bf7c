"""CSV and TSV -> a frame of strings. Quotes as in RFC 4180; every row has as many fields as the header."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from app.datasets.naming import ROWS, Names, name_columns
from app.errors import Fault, InvalidDataset

DELIMITERS = ",\t;|"
SAMPLE_CHARACTERS = 65_536
SAMPLE_ROWS = 50
BATCH_ROWS = 8_192
BATCH_BYTES = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(path: Path, max_columns: int) -> tuple[pl.DataFrame, list[Fault]]:
    """All cells as strings, and warnings about the header. The text is known to be UTF-8 without NUL."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        delimiter = _sniff(text.read(SAMPLE_CHARACTERS))
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        rows = _guarded(reader)
        header = next((row for row in rows if row), None)
        if header is None:
            raise InvalidDataset(
                None, Fault("file", "empty_file", "The file holds nothing but blank lines.", ROWS)
            )
        names = name_columns(header, max_columns)
        if len(header) > 1 and reader.line_num == 1 and _is_unquoted(path):
            return _read_unquoted(path, delimiter, names), names.warnings
        lines = ((reader.line_num, row) for row in rows)
        first = [(reader.line_num, header)] if names.first_row_is_data else []
        return _read_quoted(chain(first, lines), names.columns), names.warnings


def _sniff(sample: str) -> str:
    """The delimiter that parts the first rows alike; else the one that finds most fields in the header."""

    def rank(delimiter: str) -> tuple[bool, int]:
        rows = csv.reader(StringIO(sample, newline=""), delimiter=delimiter)
        try:
            counts = [len(row) for row in islice(rows, SAMPLE_ROWS + 1) if row]
        except csv.Error:
            return False, 0
        if len(sample) == SAMPLE_CHARACTERS and len(counts) > 1:
            counts.pop()  # cut off by the sample's end
        return len(set(counts)) == 1 and counts[0] > 1, counts[0] if counts else 0

    return max(DELIMITERS, key=rank)


def _guarded(reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        message = f"Line {reader.line_num} cannot be read: {error}."
        hint = (
            f"A quoted field has at most {csv.field_size_limit()} characters."
            if "field limit" in str(error)
            else "Perhaps a quote is never closed, or one inside a quoted field is not doubled."
        )
        raise InvalidDataset(None, Fault("file", "unreadable_row", message, hint)) from error


def _ragged(row: int, line: int, got: int, expected: int) -> InvalidDataset:
    message = f"Row {row} (line {line} of the file) has {got} fields; the header has {expected}."
    hint = f"Give each row {expected} fields; quote a field that has the delimiter in it."
    return InvalidDataset(None, Fault("file", "ragged_row", message, hint))


def _read_quoted(lines: Iterable[tuple[int, list[str]]], names: list[str]) -> pl.DataFrame:
    """The general case, by Python's reader, which knows quoted delimiters and line breaks."""
    schema = dict.fromkeys(names, pl.String)
    even = _even(lines, len(names))
    frames = [pl.DataFrame(schema=schema)]
    while batch := list(islice(even, BATCH_ROWS)):
        frames.append(pl.DataFrame(batch, schema=schema, orient="row"))
    return pl.concat(frames)


def _even(lines: Iterable[tuple[int, list[str]]], width: int) -> Iterator[list[str]]:
    """The rows, each of `width` fields, without the blank lines at the end."""
    number = 0
    blank_lines: list[int] = []
    for line, row in lines:
        if not row:
            blank_lines.append(line)
            continue
        if blank_lines and width > 1:
            raise _ragged(number + 1, blank_lines[0], 1, width)
        for _ in blank_lines:
            yield [""]
        number += len(blank_lines) + 1
        blank_lines.clear()
        if len(row) != width:
            raise _ragged(number, line, len(row), width)
        yield row


def _is_unquoted(path: Path) -> bool:
    """Whether rows are lines, and fields what stands between delimiters: no quote, no lone CR."""
    with path.open("rb") as file:
        while block := file.read(BATCH_BYTES) + file.readline():
            if b'"' in block or block.count(b"\r") != block.count(b"\r\n"):
                return False
    return True


def _read_unquoted(path: Path, delimiter: str, names: Names) -> pl.DataFrame:
    """The plain case, several times faster: NumPy counts the fields of each line, Polars takes them apart."""
    width = len(names.columns)
    schema = dict.fromkeys(names.columns, pl.String)
    frames = [pl.DataFrame(schema=schema)]
    row, line, blank_lines = 0, 1, 0
    with path.open("rb") as file:
        if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
            file.seek(0)
        if not names.first_row_is_data:
            file.readline()
            line = 2
        while block := file.read(BATCH_BYTES) + file.readline():
            body = block.rstrip(b"\r\n")
            if body:
                if blank_lines:
                    raise _ragged(row + 1, line, 1, width)
                counts = _field_counts(body, delimiter)
                for wrong in np.flatnonzero(counts != width)[:1].tolist():
                    raise _ragged(row + wrong + 1, line + wrong, int(counts[wrong]), width)
                frame = pl.read_csv(
                    body, has_header=False, separator=delimiter, quote_char=None, schema=schema
                )
                if frame.height != len(counts):
                    raise RuntimeError("two readers disagree on the number of lines")
                frames.append(frame)
                row += len(counts)
                line += len(counts)
            blank_lines += block.count(b"\n", len(body)) - bool(body)
    return pl.concat(frames)


def _field_counts(body: bytes, delimiter: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    characters = np.frombuffer(body, dtype=np.uint8)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(characters))
    before = np.searchsorted(np.flatnonzero(characters == ord(delimiter)), ends)
    return np.diff(before, prepend=0) + 1
