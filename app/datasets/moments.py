"""Moments as seconds since 1970 (UTC), and as the text that clients write and read."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1)
ISO = "iso"
"""Of ISO 8601: 2024-01-31, 2024-01-31T10:30[:00[.5]], a space for the T, with Z or an offset, or without; or
UTC behind it, as databases write."""

SURE = (ISO, "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y.%m.%d")
SHORT = ("%d.%m.%y", "%d-%b-%y")
"""Years of two digits: 69 is 1969, and 68 is 2068."""

UNSURE = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"), ("%d/%m/%y", "%m/%d/%y"))
"""Days and months may be taken for each other, until a day is beyond 12."""

ON_REQUEST = ("%Y%m%d",)
"""Else such a column is a number."""

FORMATS = (*SURE, *SHORT, *(each for pair in UNSURE for each in pair), *ON_REQUEST)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
LENGTH = 40


def moment(seconds: float) -> str:
    """ISO 8601: a date where it is midnight, else with its time."""
    return spelled(EPOCH + timedelta(seconds=seconds))


def spelled(moment: datetime) -> str:
    """ISO 8601: a date where it is midnight, else with its time."""
    if moment.time() == datetime.min.time():
        return moment.date().isoformat()
    return moment.isoformat(sep="T")


def seconds_of(text: str, date_format: str) -> float | None:
    """Of text in ISO 8601 or that format (see `dates`), without Polars; None where it is in neither."""
    found = _read(text.strip(), date_format) if len(text) <= LENGTH else None
    if found is None:
        return None
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return (found - EPOCH).total_seconds()


def _read(text: str, date_format: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        pass
    for time in TIMES if date_format in FORMATS and date_format != ISO else ():
        try:
            return datetime.strptime(text, date_format + time)
        except ValueError:
            continue
    return None
