"""Column types that mean the same on SQLite and Postgres, and the ids of rows."""

import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
"""Text that sorts by code points on every database, whatever the language of its server."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which keeps no zone, stores it as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class clock(FunctionElement[float]):  # noqa: N801 (reads as the SQL function that it is)
    """Seconds since 1970 on the database's own clock: the only one that leases go by.

    Postgres's is its server's, which may be set. SQLite's is its host's, and is not: see `hostclock`.
    """

    type = sa.Double()
    inherit_cache = True


@compiles(clock, "sqlite")
def _sqlite_clock(*_: object, **__: object) -> str:
    return "chainrule_clock()"


@compiles(clock, "postgresql")
def _postgres_clock(*_: object, **__: object) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


def now() -> datetime:
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """An opaque id that sorts by time of creation: 50 bits of microseconds, 70 random ones, base 32."""
    number = (time.time_ns() // 1000 & (1 << 50) - 1) << 70 | secrets.randbits(70)
    digits = []
    for _ in range(24):
        number, digit = divmod(number, 32)
        digits.append(CROCKFORD[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


_COMPACT, _SORTED = (
    json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    for sort_keys in (False, True)
)


def to_json(value: object, *, sort_keys: bool = False) -> str:
    """Compact JSON that refuses NaN and infinities: what is not finite must be said in words."""
    return (_SORTED if sort_keys else _COMPACT).encode(value)
