"""Dates as text -> moments, by a few formats that cannot be mistaken, and by others that are named."""

import re
from collections.abc import Iterable

import polars as pl

from app.datasets.moments import FORMATS as FORMATS
from app.datasets.moments import ISO as ISO
from app.datasets.moments import ON_REQUEST, UNSURE

TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")

FIRST_YEAR = 1_000
"""Of all but ISO 8601: 1/2/24 is not of the year 24."""

LAST_SHORT_YEAR = 2069
LENGTH = 40
START = re.compile(r"[0-9]{1,4}[-/. ]|[A-Za-z]{3,9} [0-9]|[0-9]{8}$")


def candidates(cell: str, *, on_request: bool = False) -> list[str]:
    """The formats that one cell may be written in."""
    if len(cell) > LENGTH or not START.match(cell):
        return []
    one = pl.Series([cell])
    formats = FORMATS if on_request else FORMATS[: -len(ON_REQUEST)]
    return [each for each in formats if read(one, each).null_count() == 0]


def read(cells: pl.Series, form: str) -> pl.Series:
    """Datetimes (microseconds, UTC, without a zone), null where a cell is not written in that format.

    What has no offset is taken as UTC.
    """
    if form == ISO:
        return _read_iso(cells)
    found = _first(cells, [form + time for time in TIMES])
    if "%y" in form:  # Python has 1969 where Chrono has 2069
        found = pl.select(
            pl.when(found.dt.year() == LAST_SHORT_YEAR).then(found.dt.offset_by("-100y")).otherwise(found)
        ).to_series()
    return pl.select(pl.when(found.dt.year() >= FIRST_YEAR).then(found)).to_series().alias(cells.name)


def are_unsure(formats: Iterable[str]) -> bool:
    """Whether the formats that all cells fit give them different meanings."""
    left = set(formats)
    return any(set(pair) <= left for pair in UNSURE)


def _read_iso(cells: pl.Series) -> pl.Series:
    found = cells.str.strptime(pl.Datetime("us"), "%Y-%m-%d", strict=False)
    # Chrono takes one digit for a month, and a leap second; ISO 8601 has two, and we have no place for that.
    fit = cells.str.contains(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-5][0-9](:[0-5][0-9]|[zZ+-]| UTC$|$)|$)"
    )
    if found.null_count() > cells.null_count():
        text = cells.str.replace(" ", "T", literal=True).str.replace(r"([zZ]| UTC)$", "+00:00")
        patterns = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"]
        found = _filled(found, _first(text, patterns))
        for pattern in ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"):
            if found.null_count() > cells.null_count():
                aware = text.str.strptime(pl.Datetime("us", "UTC"), pattern, strict=False)
                found = _filled(found, aware.dt.replace_time_zone(None))
    return pl.select(pl.when(fit).then(found)).to_series().alias(cells.name)


def _first(cells: pl.Series, patterns: Iterable[str]) -> pl.Series:
    found: pl.Series | None = None
    for pattern in patterns:
        read = cells.str.strptime(pl.Datetime("us"), pattern, strict=False)
        found = read if found is None else _filled(found, read)
        if found.null_count() == cells.null_count():
            break
    assert found is not None
    return found


def _filled(first: pl.Series, second: pl.Series) -> pl.Series:
    return pl.select(pl.coalesce(first, second)).to_series()
