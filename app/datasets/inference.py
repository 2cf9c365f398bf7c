"""The type of each column, from all of its rows; or as a correction says."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.datasets.naming import EMPTY
from app.datasets.table import BOOLEAN_CATEGORIES, MISSING_WORDS
from app.errors import Fault, InvalidDataset

Type = Literal["number", "category", "boolean", "text"]
TYPES: tuple[Type, ...] = ("number", "category", "boolean", "text")

TRUTH = {"true": True, "false": False}
DIGIT_TRUTH = {"1": True, "0": False}
SPELLINGS_OF_TRUTH = 2**4 + 2**5
CATEGORY_LIMIT = 10_000
"""Most categories of a column that was corrected to be one; each becomes an input."""
TEXT_LENGTH = 255
"""A column with a longer value than this is text."""
DATE = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ]|$)")


class TypedColumn(NamedTuple):
    """A column of m rows. ``series``: Float64, Boolean or String with nulls; ``values`` as in `table.Column`.

    Text has codes too, with its distinct values as ``categories``. ``corrected``: the type was asked for.
    """

    name: str
    type: Type
    series: pl.Series
    values: NDArray[Any]
    categories: tuple[str, ...] | None
    corrected: bool

    def present(self) -> NDArray[Any]:
        """The values that are not missing."""
        missing = np.isnan(self.values) if self.categories is None else self.values < 0
        return self.values[~missing]


def infer(frame: pl.DataFrame, corrections: Mapping[str, Type]) -> list[TypedColumn]:
    """Types a frame of strings; cells are stripped, and the `MISSING_WORDS` become null.

    Number: all values are decimal or scientific. Boolean: all are true or false, in any case. Else strings:
    few distinct ones (≤ 50, or ≤ a tenth of the rows and ≤ 1,000) are a category, more are text. Dates and
    columns with values of more than 255 characters are text.
    `InvalidDataset` names, by row, the first infinite number or value that a correction cannot hold.
    """
    cells = frame.select(pl.all().str.strip_chars()).with_columns(
        pl.when(pl.all().str.to_lowercase().is_in(MISSING_WORDS)).then(None).otherwise(pl.all()).name.keep()
    )
    # All columns in one call each, since a call costs as much as a thousand cells.
    numbers = cells.select(pl.all().cast(pl.Float64, strict=False).fill_nan(None) + 0.0)
    columns: list[TypedColumn] = []
    faults: list[Fault] = []
    for cell, parsed in zip(cells.iter_columns(), numbers.iter_columns(), strict=True):
        try:
            columns.append(_infer_column(cell, parsed, corrections.get(cell.name)))
        except InvalidDataset as error:
            faults += error.faults
    if faults:
        raise InvalidDataset("Some values cannot be read.", *faults[:20])
    return columns


def read_corrections(corrections: object, names: list[str]) -> dict[str, Type]:
    """`{"zip": {"type": "category"}}` -> {"zip": "category"}, each name and type checked."""
    if not isinstance(corrections, Mapping):
        raise InvalidDataset(None, Fault("columns", "wrong_type", "Expected an object by column name."))
    faults = []
    for name, correction in corrections.items():
        param = f"columns.{str(name)[:255]}"
        if name not in names:
            near = get_close_matches(str(name)[:255], names, n=1, cutoff=0.5)
            hint = f"Did you mean '{near[0]}'?" if near else None
            faults.append(Fault(param, "unknown_column", "The file has no such column.", hint))
        elif not isinstance(correction, Mapping) or list(correction) != ["type"]:
            faults.append(Fault(param, "wrong_type", 'Expected an object with the one member "type".'))
        elif correction["type"] not in TYPES:
            faults.append(Fault(f"{param}.type", "not_allowed", f"Expected one of {', '.join(TYPES)}."))
    if faults:
        raise InvalidDataset("The corrections of columns do not fit the file.", *faults[:20])
    return {name: correction["type"] for name, correction in corrections.items()}


def _infer_column(cell: pl.Series, numbers: pl.Series, wanted: Type | None) -> TypedColumn:
    is_number = numbers.null_count() == cell.null_count()
    if wanted == "number" or (wanted is None and is_number):
        if not is_number:
            raise _refusal(
                cell.name, cell.is_not_null() & numbers.is_null(), "not_a_number", "is not a number"
            )
        found = number(numbers, wanted is not None)
        if np.isinf(found.values).any():
            raise _refusal(cell.name, numbers.is_infinite(), "infinite_number", "holds an infinite number")
        return found
    distinct = _distinct(cell)
    words = TRUTH | (DIGIT_TRUTH if wanted == "boolean" else {})
    is_boolean = len(distinct) <= SPELLINGS_OF_TRUTH and all(word.lower() in words for word in distinct)
    if wanted == "boolean" or (wanted is None and is_boolean):
        truth = cell.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        if not is_boolean:
            raise _refusal(
                cell.name, cell.is_not_null() & truth.is_null(), "not_a_boolean", "is not true or false"
            )
        return boolean(truth, wanted is not None)
    if wanted == "category" and len(distinct) > CATEGORY_LIMIT:
        message = f"It has {len(distinct)} distinct values; a category may have {CATEGORY_LIMIT}."
        raise InvalidDataset(
            None, Fault(f"columns.{cell.name}", "too_many_categories", message, "Let it be text.")
        )
    return _string(cell, distinct, wanted or _kind_of_strings(distinct, len(cell)), wanted is not None)


def _kind_of_strings(distinct: pl.Series, row_count: int) -> Type:
    few = len(distinct) <= max(50, min(1_000, row_count // 10))
    if not few or max(map(len, distinct), default=0) > TEXT_LENGTH or is_date(distinct):
        return "text"
    return "category"


def number(series: pl.Series, corrected: bool) -> TypedColumn:
    """From Float64 with nulls, and without minus zero, which nothing here tells apart from zero."""
    return TypedColumn(series.name, "number", series, series.to_numpy(), None, corrected)


def boolean(series: pl.Series, corrected: bool) -> TypedColumn:
    values = _codes(series.cast(pl.Int32))
    return TypedColumn(series.name, "boolean", series, values, BOOLEAN_CATEGORIES, corrected)


def string(series: pl.Series, kind: Type, corrected: bool) -> TypedColumn:
    return _string(series, _distinct(series), kind, corrected)


def _string(series: pl.Series, distinct: pl.Series, kind: Type, corrected: bool) -> TypedColumn:
    codes = _codes(series.cast(pl.Enum(distinct)).to_physical())
    return TypedColumn(series.name, kind, series, codes, tuple(distinct.to_list()), corrected)


def _distinct(series: pl.Series) -> pl.Series:
    """Without null; sorted by UTF-8 bytes, as Polars does, which is the order of code points."""
    found = series.unique().sort(nulls_last=True)
    return found.head(len(found) - (series.null_count() > 0))


def _codes(series: pl.Series) -> NDArray[np.int32]:
    codes = series.to_numpy()  # floats where there are nulls
    return np.where(np.isnan(codes), -1, codes).astype(np.int32)


def is_date(distinct: Iterable[str]) -> bool:
    """Whether all values begin as ISO 8601 dates do."""
    return all(DATE.match(value) for value in distinct)


def _refusal(name: str, bad: pl.Series, code: str, what: str) -> InvalidDataset:
    message = f"Row {(bad.arg_max() or 0) + 1} of column '{name}' {what}."
    return InvalidDataset(None, Fault(f"columns.{name}", code, message, EMPTY))
