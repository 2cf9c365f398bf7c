"""The cells of a part of a table: as text without what stands for nothing, and as numbers where they are."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import polars as pl

from app.datasets.table import MISSING_WORDS

UNITS = {"ms": 1e3, "us": 1e6, "ns": 1e9}


class Cells(NamedTuple):
    """``frame``: columns of String, Float64, Boolean or Datetime, null where a value is missing. ``numbers``:
    what its columns of String and Float64 are as Float64, null where they are no number, without minus zero.
    """

    frame: pl.DataFrame
    numbers: pl.DataFrame

    @property
    def height(self) -> int:
        return self.frame.height

    def aligned(self, schema: Mapping[str, pl.DataType]) -> "Cells":
        """With all columns of the schema, in its order; what is lacking is missing."""
        if self.frame.columns == list(schema):
            return self
        lacking = [
            pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
            if name not in self.frame.columns
        ]
        return of(self.frame.with_columns(lacking).select(list(schema)))


def of(frame: pl.DataFrame) -> Cells:
    """Of a frame whose missing values are null already."""
    return Cells(frame, _numbers(frame))


def spelled(frame: pl.DataFrame) -> Cells:
    """Of text, which is stripped, and missing where it is one of the `MISSING_WORDS`."""
    numbers = _numbers(frame)
    # What is a number is neither padded nor missing, and to look for that takes longer than to read it.
    nulls = numbers.null_count().row(0) if frame.width else ()
    other = [name for name, count in zip(frame.columns, nulls, strict=True) if count]
    if not other:
        return Cells(frame, numbers)
    # All columns in one call each, since a call costs as much as a thousand cells.
    stripped = frame.select(pl.col(other).str.strip_chars())
    text = pl.col(other)
    words = pl.when(text.str.to_lowercase().is_in(MISSING_WORDS)).then(None).otherwise(text)
    plain = stripped.with_columns(words.name.keep())
    return Cells(frame.with_columns(plain), numbers.with_columns(_numbers(plain)))


def blanked(cells: Cells, words: Mapping[str, Collection[str]]) -> Cells:
    """Missing, too, what these words stand for, by column and in lower case. Numbers are compared as such."""
    frame = cells.frame
    there = {name: said for name, said in words.items() if name in frame.columns}
    return of(frame.with_columns([_blank(name, frame.schema[name], said) for name, said in there.items()]))


def _blank(name: str, dtype: pl.DataType, words: Collection[str]) -> pl.Expr:
    cell = pl.col(name)
    said = pl.Series(list(words), dtype=pl.String)
    if not isinstance(dtype, (pl.String, pl.Float64)):
        return cell
    stands = cell.cast(pl.Float64, strict=False).is_in(said.cast(pl.Float64, strict=False).implode())
    if isinstance(dtype, pl.String):
        stands = stands.fill_null(False) | cell.str.to_lowercase().is_in(said.implode())
    return pl.when(stands).then(None).otherwise(cell).alias(name)


def typed(frame: pl.DataFrame, respelled: Collection[str] = ()) -> Cells:
    """Of columns that have types; ``respelled`` ones become text, whatever they are."""
    plain = frame.select([_plain(name, dtype, name in respelled) for name, dtype in frame.schema.items()])
    text = [name for name, dtype in plain.schema.items() if dtype == pl.String]
    return of(plain.with_columns(spelled(plain.select(text)).frame) if text else plain)


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(pl.String, pl.Float64).cast(pl.Float64, strict=False).fill_nan(None) + 0.0)


def _plain(name: str, dtype: pl.DataType, as_text: bool) -> pl.Expr:
    cell = pl.col(name)
    if isinstance(dtype, pl.Boolean):
        return cell.cast(pl.String) if as_text else cell
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        moment = cell.cast(pl.Datetime("us"), strict=False)
        return iso(moment) if as_text else moment
    if isinstance(dtype, pl.Duration):
        return _number(cell.cast(pl.Int64) / UNITS[dtype.time_unit], as_text)
    if isinstance(dtype, pl.Time):
        return _number(cell.cast(pl.Int64) / UNITS["ns"], as_text)
    if dtype.is_numeric() or isinstance(dtype, pl.Null):
        return _number(cell.cast(pl.Float64, strict=False), as_text)
    return cell.cast(pl.String)


def iso(moment: pl.Expr) -> pl.Expr:
    """A date where it is midnight, else with its time, as `moments.moment` spells it."""
    midnight = moment.dt.truncate("1d") == moment
    whole = moment.dt.truncate("1s") == moment
    return (
        pl.when(midnight)
        .then(moment.dt.to_string("%Y-%m-%d"))
        .when(whole)
        .then(moment.dt.to_string("%Y-%m-%dT%H:%M:%S"))
        .otherwise(moment.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"))
    )


def _number(cell: pl.Expr, as_text: bool) -> pl.Expr:
    value = cell.fill_nan(None) + 0.0
    if not as_text:
        return value
    whole = (value == value.round()) & (value.abs() < 2**53)
    as_integer = value.cast(pl.Int64, strict=False).cast(pl.String)
    return pl.when(whole).then(as_integer).otherwise(value.cast(pl.String))
