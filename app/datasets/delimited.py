"""CSV and its like -> frames of strings. Quotes as in RFC 4180; each row has as many fields as the header."""

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from app.datasets.naming import NUMBER, ROWS, Names, name_columns
from app.datasets.source import Source
from app.datasets.table import MISSING_WORDS
from app.errors import Fault, InvalidDataset

DELIMITERS = ",\t;|"
SAMPLE_CHARACTERS = 65_536
SAMPLE_ROWS = 50
BATCH_ROWS = 8_192
BATCH_CELLS = 500_000
BATCH_BYTES = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SAID = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=(.)"?\r?\n', re.IGNORECASE)
"""A first line by which a spreadsheet says what parts the fields."""

BLANK = re.compile(rb"^[ \t]*\r?\n|\n[ \t]*\r?\n")
"""A line of nothing before others."""


class Dialect(NamedTuple):
    """``delimiter`` " " stands for any number of spaces. ``start``: bytes of a line that is no header."""

    delimiter: str
    quote: str = '"'
    start: int = 0

    def open(self, path: Path) -> TextIOWrapper:
        file = path.open("rb")
        file.seek(self.start)
        return TextIOWrapper(file, encoding="utf-8" if self.start else "utf-8-sig", newline="")

    def reader(self, text: Iterable[str], *, strict: bool = True) -> Any:
        if self.delimiter == " ":
            text = (line.rstrip(" \r\n") for line in text)
        spaces = self.delimiter == " "
        return csv.reader(
            text, delimiter=self.delimiter, quotechar=self.quote, strict=strict, skipinitialspace=spaces
        )


def open_source(path: Path, max_columns: int) -> Source:
    """All cells as strings, and warnings about the header. The text is known to be UTF-8 without NUL."""
    with path.open("rb") as file:
        said = SAID.match(file.readline(16))
    with (Dialect(",", start=said.end()) if said else Dialect(",")).open(path) as text:
        found = _sniff(text.read(SAMPLE_CHARACTERS))
    dialect = found._replace(delimiter=said[1].decode(), start=said.end()) if said else found
    with dialect.open(path) as text:
        reader = dialect.reader(text)
        header = next((row for row in _guarded(reader) if row), None)
        if header is None:
            raise InvalidDataset(
                None, Fault("file", "empty_file", "The file holds nothing but blank lines.", ROWS)
            )
        names = name_columns(header, max_columns)
        simple = (
            len(header) > 1 and reader.line_num == 1 and dialect.delimiter != " " and dialect.quote == '"'
        )
    read = _read_unquoted if simple and _is_unquoted(path, dialect.start) else _read_quoted
    return Source(
        lambda: read(path, dialect, names),
        decimal_comma=dialect.delimiter != ",",
        warnings=names.warnings,
    )


def _sniff(sample: str) -> Dialect:
    """The delimiter that parts the first rows alike; else the one that finds most fields in the header.

    Quotes are single ones where the fields begin and end with these, and there are no double ones. Spaces
    part fields where nothing else does, and most of what is then between them are numbers.
    """

    def rank(dialect: Dialect) -> tuple[bool, int]:
        counts = [len(row) for row in _sampled(sample, dialect)]
        return len(set(counts)) == 1 and counts[0] > 1, counts[0] if counts else 0

    found = max(map(Dialect, DELIMITERS), key=rank)
    if "'" in sample and '"' not in sample:
        rows = _sampled(sample, found)
        cells = _flat(rows)
        begin, end = sum(map(_begins, cells)), sum(map(_ends, cells))
        if begin and begin == end and 2 * begin >= len(rows):
            return max((Dialect(each, "'") for each in DELIMITERS), key=rank)
    by_space = Dialect(" ", found.quote)
    if rank(found)[1] <= 1 and rank(by_space)[0] and _is_mostly_numbers(_sampled(sample, by_space)[1:]):
        return by_space
    return found


def _sampled(sample: str, dialect: Dialect) -> list[list[str]]:
    """The first rows that have fields; none where they cannot be read."""
    try:
        text = StringIO(sample, newline="")
        rows = [row for row in islice(dialect.reader(text, strict=False), SAMPLE_ROWS + 1) if row]
    except csv.Error:
        return []
    if len(sample) == SAMPLE_CHARACTERS and len(rows) > 1:
        rows.pop()  # cut off by the sample's end
    return rows


def _flat(rows: list[list[str]]) -> list[str]:
    return [cell.strip() for row in rows for cell in row]


def _begins(cell: str) -> bool:
    return cell.startswith("'")


def _ends(cell: str) -> bool:
    return len(cell) > 1 and cell.endswith("'")


def _is_mostly_numbers(rows: list[list[str]]) -> bool:
    cells = _flat(rows)
    numbers = sum(bool(NUMBER.fullmatch(cell)) or cell.lower() in MISSING_WORDS for cell in cells)
    return bool(cells) and 2 * numbers >= len(cells)


def _guarded(reader: Any, above: int = 0) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        message = f"Line {reader.line_num + above} cannot be read: {error}."
        hint = (
            f"A quoted field has at most {csv.field_size_limit()} characters."
            if "field limit" in str(error)
            else "Perhaps a quote is never closed, or one inside a quoted field is not doubled."
        )
        raise InvalidDataset(None, Fault("file", "unreadable_row", message, hint)) from error


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _ragged(row: int, line: int, got: int, expected: int) -> InvalidDataset:
    message = f"Row {row} (line {line} of the file) has {_fields(got)}; the header has {expected}."
    hint = f"Give each row {_fields(expected)}; quote a field that has the delimiter in it."
    if expected == 1:
        hint = "Let the header be the first line; part fields by , ; | or tabs, and quote fields with these."
    return InvalidDataset(None, Fault("file", "ragged_row", message, hint))


def _read_quoted(path: Path, dialect: Dialect, names: Names) -> Iterator[pl.DataFrame]:
    """The general case, by Python's reader, which knows quoted delimiters and line breaks."""
    schema = dict.fromkeys(names.columns, pl.String)
    above = bool(dialect.start)
    with dialect.open(path) as text:
        reader = dialect.reader(text)
        rows = _guarded(reader, above)
        header = next(row for row in rows if row)
        first = [(reader.line_num + above, header)] if names.first_row_is_data else []
        even = _even(chain(first, ((reader.line_num + above, row) for row in rows)), len(names.columns))
        count = min(BATCH_ROWS, max(1, BATCH_CELLS // len(names.columns)))
        while batch := list(islice(even, count)):
            yield pl.DataFrame(batch, schema=schema, orient="row")


def _even(lines: Iterable[tuple[int, list[str]]], width: int) -> Iterator[list[str]]:
    """The rows, each of `width` fields. A blank line is none, but in a single column a missing value, unless
    it stands at the end."""
    number = 0
    blank_lines = 0
    for line, row in lines:
        if not row or (width > 1 and len(row) == 1 and not row[0].strip()):
            blank_lines += width == 1
            continue
        for _ in range(blank_lines):
            yield [""]
        number += blank_lines + 1
        blank_lines = 0
        if len(row) != width:
            raise _ragged(number, line, len(row), width)
        yield row


def _is_unquoted(path: Path, start: int = 0) -> bool:
    """Whether rows are lines, and fields what stands between delimiters: no quote, no lone CR, and no blank
    lines but at the end."""
    blank = False
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(BATCH_BYTES) + file.readline():
            if b'"' in block or block.count(b"\r") != block.count(b"\r\n"):
                return False
            body = block.rstrip(b" \t\r\n")
            if body and (blank or BLANK.search(body)):
                return False
            behind = block[len(body) :].partition(b"\n")[2]
            if behind.strip(b"\r\n"):
                return False
            blank = not body or bool(behind)
    return True


def _read_unquoted(path: Path, dialect: Dialect, names: Names) -> Iterator[pl.DataFrame]:
    """The plain case, several times faster: NumPy counts the fields of each line, Polars takes them apart."""
    width = len(names.columns)
    schema = dict.fromkeys(names.columns, pl.String)
    row, line = 0, 1
    with path.open("rb") as file:
        file.seek(dialect.start)
        line += bool(dialect.start)
        if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
            file.seek(dialect.start)
        if not names.first_row_is_data:
            file.readline()
            line += 1
        while block := file.read(BATCH_BYTES) + file.readline():
            body = block.rstrip(b"\r\n")
            if not body:
                continue
            counts = _field_counts(body, dialect.delimiter)
            for wrong in np.flatnonzero(counts != width)[:1].tolist():
                raise _ragged(row + wrong + 1, line + wrong, int(counts[wrong]), width)
            frame = pl.read_csv(
                body, has_header=False, separator=dialect.delimiter, quote_char=None, schema=schema
            )
            if frame.height != len(counts):
                raise RuntimeError("two readers disagree on the number of lines")
            yield frame
            row += len(counts)
            line += len(counts)


def _field_counts(body: bytes, delimiter: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    characters = np.frombuffer(body, dtype=np.uint8)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(characters))
    before = np.searchsorted(np.flatnonzero(characters == ord(delimiter)), ends)
    return np.diff(before, prepend=0) + 1
