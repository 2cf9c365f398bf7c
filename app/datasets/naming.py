"""Column names: what a header may say, and what stands in where it says nothing."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from app.errors import Fault, InvalidDataset

LENGTH_LIMIT = 255
ROWS = "Send a header and at least two rows."
"""A way out for whoever sent next to nothing."""

EMPTY = "Leave the cell empty, or send null, where a value is missing."

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


BREAK = re.compile(r"\s*[\r\n\t]\s*")
"""In a name of several lines, as spreadsheets have them."""

YEAR = re.compile(r"(19|20)[0-9]{2}")


class Names(NamedTuple):
    columns: list[str]
    first_row_is_data: bool
    warnings: list[Fault]


def name_columns(header: Sequence[str], max_columns: int) -> Names:
    """Names from a file's first row; if that holds only numbers, it is data, and they are column_1, …"""
    check_count(len(header), max_columns)
    cells = [BREAK.sub(" ", cell.strip()) for cell in header]
    if all(NUMBER.fullmatch(cell) for cell in cells):
        message = "The first row holds only numbers: it was taken as data, and the columns were named."
        warning = Fault("file", "no_header", message, "Put a row of column names on top.")
        return Names([f"column_{i + 1}" for i in range(len(cells))], True, [warning])
    taken = set(cells)
    warnings = []
    for i, cell in enumerate(cells):
        if not cell:
            cells[i] = _free_name(f"column_{i + 1}", taken)
            message = f"Column {i + 1} has no name in the header: it was named '{cells[i]}'."
            warnings.append(Fault(f"columns.{cells[i]}", "unnamed_column", message))
    check_names(cells)
    if any(NUMBER.fullmatch(cell) and not YEAR.fullmatch(cell) for cell in cells):
        message = "Some columns have numbers for names: perhaps the file has no header."
        hint = "If so, put a row of column names on top; else its first row is lost."
        warnings.append(Fault("file", "doubtful_header", message, hint))
    return Names(cells, False, warnings)


def check_count(count: int, max_columns: int) -> None:
    if count > max_columns:
        message = f"There are {count} columns; the limit is {max_columns}."
        raise InvalidDataset(None, Fault("file", "too_many_columns", message, "Leave columns out."))


def check_names(names: Sequence[str]) -> None:
    """Refuses names that are empty, long, unprintable or there twice."""
    faults = []
    seen: set[str] = set()
    for i, name in enumerate(names):
        if not name or len(name) > LENGTH_LIMIT or any(unicodedata.category(c) == "Cc" for c in name):
            message = (
                f"The name of column {i + 1} must have 1 to {LENGTH_LIMIT} characters, none a control one."
            )
            hint = "Give each column a name of one line."
            faults.append(Fault(f"columns[{i}]", "invalid_column_name", message, hint))
        elif name in seen:
            message = f"Column {i + 1} has a name that an earlier column has."
            hint = "Give each column its own name."
            if NUMBER.fullmatch(name):
                hint += " If this is data, put a row of names on top."
            faults.append(Fault(f"columns.{name}", "duplicate_column", message, hint))
        seen.add(name)
    if faults:
        raise InvalidDataset("The column names are not usable.", *faults[:20])


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
