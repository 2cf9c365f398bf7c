"""When each key was used last, as far as a minute tells. Written beside the requests, by none of them."""

import time
from datetime import datetime

import sqlalchemy as sa

from app.storage.columns import now
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Key

WRITTEN_SECONDS = 60.0

_keys = core(Key)
USED = (
    sa.update(_keys)
    .where(
        _keys.c.id == sa.bindparam("key"),
        sa.or_(_keys.c.last_used_at.is_(None), _keys.c.last_used_at < sa.bindparam("moment")),
    )
    .values(last_used_at=sa.bindparam("moment"))
)


class Uses:
    """Of one process, since they were written last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moments: dict[str, datetime] = {}
        self._write_at = 0.0

    def note(self, key_id: str) -> None:
        """The key is used just now."""
        self._moments[key_id] = now()

    def write(self) -> None:
        """Write them, at most once a minute, however often this is called."""
        if not self._moments or time.monotonic() < self._write_at:
            return
        moments, self._moments = self._moments, {}
        with self._database.writing() as session:
            session.execute(USED, [{"key": key, "moment": moments[key]} for key in sorted(moments)])
        self._write_at = time.monotonic() + WRITTEN_SECONDS
