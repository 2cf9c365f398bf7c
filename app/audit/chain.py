"""The chain: each entry's hash covers the one before, so that none is altered or taken out unseen."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.storage.columns import new_id, now, to_json
from app.storage.declaring import core
from app.storage.tables import AuditEntry, AuditHead

GENESIS = "0" * 64
"""What the first entry of a chain has before it."""

COVERED = (
    *("project_id", "seq", "id", "created_at", "key_id", "role"),
    *("action", "object_id", "request_id", "data"),
)

_entries, _heads = core(AuditEntry), core(AuditHead)


def _step(insert: Any) -> Any:
    """One entry more, and the hash of the last so far; whoever else adds one to this chain waits for us."""
    first = insert(_heads).values(project_id=sa.bindparam("project"), count=1, chain_sha256=GENESIS)
    further = first.on_conflict_do_update(index_elements=["project_id"], set_={"count": _heads.c.count + 1})
    return further.returning(_heads.c.count, _heads.c.chain_sha256)


# Built once: they run in the transaction of every submitted job.
STEP = {"sqlite": _step(sqlite.insert), "postgresql": _step(postgresql.insert)}
INSERT = sa.insert(_entries)
ADVANCE = (
    sa.update(_heads)
    .where(_heads.c.project_id == sa.bindparam("project"))
    .values(chain_sha256=sa.bindparam("sha256"))
)


def moment_of(created_at: datetime) -> str:
    """As the API writes it."""
    return created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def digest(before: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 of the hash before, a line end, and the entry's `COVERED` fields as JSON: sorted, compact."""
    covered = {name: entry[name] for name in COVERED} | {"created_at": moment_of(entry["created_at"])}
    text = f"{before}\n{to_json(covered, sort_keys=True)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def append(session: Session, entry: Mapping[str, Any]) -> None:
    """Add an entry, which has all `COVERED` fields but those that this gives it: seq, id and created_at.

    On Postgres the chain is locked until the transaction ends: call it last.
    """
    place = {"project": entry["project_id"]}
    seq, before = session.execute(STEP[session.get_bind().dialect.name], place).one()
    whole = {**entry, "seq": seq, "id": new_id("aud"), "created_at": now()}
    sha256 = digest(before, whole)
    session.execute(INSERT, {**whole, "chain_sha256": sha256})
    session.execute(ADVANCE, {**place, "sha256": sha256})
