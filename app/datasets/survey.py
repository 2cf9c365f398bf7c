"""What all rows of a column have in common, gathered a few megabytes at a time, and in bounded memory."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.datasets import amounts, dates
from app.datasets.naming import check_count, check_names
from app.datasets.source import Parts
from app.errors import Fault, InvalidDataset

VALUES_LIMIT = 10_000
"""Different strings that are kept: the most categories of a column; each becomes an input."""
VALUES_BYTES = 16 << 20
HASHES_LIMIT = 1_000_000
"""Different strings that are counted."""

LEADING_ZERO = r"^0[0-9]"
NEARLY = 0.1
"""Of values: a column of which no more than this are no number, or no date, was perhaps meant to be one."""
TRIED = 5


@dataclass(slots=True)
class Strings:
    """Of the values that are there. ``values``: the different ones, sorted; None where there are many.

    ``distinct`` is None where even their number is beyond the limit; ``all_different`` then says so of the
    first of them. ``amounts``: the spellings of `amounts` in which all are numbers, the likelier first, and
    ``beside`` what stands beside the digits. ``misses``: of each format of dates, the values that do not fit.
    """

    amounts: list[str]
    asked_for_dates: bool
    values: pl.Series | None = field(default_factory=lambda: pl.Series([], dtype=pl.String))
    hashes: NDArray[np.uint64] | None = field(default_factory=lambda: np.array([], dtype=np.uint64))
    all_different: bool = True
    beside: set[str] = field(default_factory=set)
    misses: dict[str, int] | None = None
    looked_at: int = 0
    longest: int = 0
    present: int = 0

    @property
    def distinct(self) -> int | None:
        if self.values is not None:
            return len(self.values)
        return None if self.hashes is None else len(self.hashes)

    @property
    def formats(self) -> list[str]:
        """Of dates: those that every value fits."""
        return [each for each, misses in (self.misses or {}).items() if not misses]

    def take(self, cells: pl.Series) -> None:
        different = cells.drop_nulls().unique()
        self.present += len(cells) - cells.null_count()
        if not len(different):
            return
        self._count(different)
        lengths = different.str.len_chars()
        self.longest = max(self.longest, int(lengths.max()))  # type: ignore[arg-type]
        self._take_amounts(different)
        self._take_dates(different)

    def _take_amounts(self, different: pl.Series) -> None:
        self.amounts = amounts.fitting(different, self.amounts)
        if self.amounts:
            self.beside |= amounts.beside(different, self.amounts[0])
            if len(self.beside) > 1:  # euros and dollars are no one quantity
                self.amounts = []

    def _take_dates(self, different: pl.Series) -> None:
        if self.misses is None:
            found = (dates.candidates(cell, on_request=self.asked_for_dates) for cell in different[:TRIED])
            self.misses = dict.fromkeys(next(filter(None, found), []), 0)
        self.looked_at += len(different)
        for each in list(self.misses):
            self.misses[each] += dates.read(different, each).null_count()
            if self.misses[each] > NEARLY * self.looked_at:
                del self.misses[each]

    def _count(self, different: pl.Series) -> None:
        if self.hashes is not None:
            self.hashes = np.union1d(self.hashes, different.hash().to_numpy())
            self.all_different = len(self.hashes) == self.present
            if len(self.hashes) > HASHES_LIMIT:
                self.hashes = None
        if self.values is None:
            return
        values = pl.concat([self.values, different.alias("")]).unique().sort()
        few = len(values) <= VALUES_LIMIT and values.estimated_size() <= VALUES_BYTES
        self.values = values if few else None


@dataclass(slots=True)
class Facts:
    """One column. ``dtype``: String, Float64, Boolean, or Datetime. ``is_number``: every value is one, or is
    spelled as one with a decimal point; ``others`` are not, and ``first_other`` is the row of the first.
    ``leading_zeros``: whether some among the first begin with a zero and a digit, as codes do.
    ``strings``: None where the column was not looked at as such."""

    name: str
    dtype: pl.DataType
    missing: int
    others: int = 0
    first_other: int | None = None
    leading_zeros: bool = False
    infinite_row: int | None = None
    strings: Strings | None = None

    @property
    def is_number(self) -> bool:
        return not self.others


@dataclass(slots=True)
class Survey:
    row_count: int
    columns: dict[str, Facts]


def survey(parts: Parts, max_columns: int) -> Survey:
    """Count rows, missing values, and what is not a number. Raises InvalidDataset for unusable names."""
    found = Survey(0, {})
    for frame, numbers in parts:
        if frame.columns != list(found.columns):
            _meet(found, frame, max_columns)
        if not found.row_count:
            _look_for_zeros(found, frame)
        nulls = dict(zip(frame.columns, frame.null_count().row(0), strict=True))
        lost = dict(zip(numbers.columns, numbers.null_count().row(0), strict=True)) if numbers.width else {}
        infinite = numbers.select(pl.all().is_infinite().any()).row(0) if numbers.width else ()
        for name, facts in found.columns.items():
            facts.missing += nulls.get(name, frame.height)
            if name in lost:
                facts.others += lost[name] - nulls[name]
                if facts.others and facts.first_other is None:
                    is_other = frame[name].is_not_null() & numbers[name].is_null()
                    facts.first_other = found.row_count + int(is_other.arg_max() or 0)
        for name, any_infinite in zip(numbers.columns, infinite, strict=True):
            facts = found.columns[name]
            if any_infinite and facts.infinite_row is None:
                facts.infinite_row = found.row_count + int(numbers[name].is_infinite().arg_max() or 0)
        found.row_count += frame.height
    return found


def look_at_strings(
    parts: Parts, found: Survey, names: Collection[str], decimal_comma: bool, dated: Collection[str]
) -> None:
    """Fill in `Facts.strings` of some columns. Raises InvalidDataset for a NUL character.

    ``decimal_comma``: whether "1,234" is taken for 1.234. ``dated``: columns that are asked to be dates."""
    if not names:
        return
    for name in names:
        spellings = [amounts.COMMA, amounts.POINT] if decimal_comma else [amounts.POINT, amounts.COMMA]
        found.columns[name].strings = Strings(spellings, name in dated)
    for frame, _ in parts:
        for name in names:
            if name in frame.columns:
                cells = frame[name]
                strings = found.columns[name].strings
                assert strings is not None
                strings.take(cells)
    for name in names:
        check_nul(found.columns[name])


def check_nul(facts: Facts) -> None:
    strings = facts.strings
    if strings is None or strings.values is None:
        return
    if strings.values.str.contains("\0", literal=True).any():
        message = f"Column '{facts.name}' holds a NUL character."
        raise InvalidDataset(None, Fault(f"columns.{facts.name}", "nul_character", message, "Leave it out."))


def _look_for_zeros(found: Survey, frame: pl.DataFrame) -> None:
    text = pl.col(pl.String).str.contains(LEADING_ZERO).any()
    begins = frame.select(text)
    for name, any_zero in zip(begins.columns, begins.row(0) if begins.width else (), strict=True):
        found.columns[name].leading_zeros = bool(any_zero)


def _meet(found: Survey, frame: pl.DataFrame, max_columns: int) -> None:
    """A frame with columns that none before had."""
    new = [name for name in frame.columns if name not in found.columns]
    check_count(len(found.columns) + len(new), max_columns)
    for name in new:
        found.columns[name] = Facts(name, frame.schema[name], found.row_count)
    check_names(list(found.columns))
