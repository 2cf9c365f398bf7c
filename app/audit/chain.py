"""The chain: each entry's hash covers the one before, so that none is altered or taken out unseen."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.storage.columns import new_id, now, to_json
from app.storage.scope import bare

GENESIS = "0" * 64
"""What the first entry of a chain has before it."""

COVERED = (
    *("project_id", "seq", "id", "created_at", "key_id", "role"),
    *("action", "object_id", "request_id", "data"),
)

COLUMNS = (*COVERED, "chain_sha256")
MARKS = {"sqlite": "?", "postgresql": "%s"}

# For the driver itself, as they run in the transaction of every submitted job.
_STEP = """INSERT INTO audit_heads (project_id, count, chain_sha256) VALUES (?, 1, ?)
    ON CONFLICT (project_id) DO UPDATE SET count = audit_heads.count + 1 RETURNING count, chain_sha256"""
_MARKS = ", ".join("?" for _ in COLUMNS)
_INSERT = f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608 (our names) # nosec B608
_ADVANCE = "UPDATE audit_heads SET chain_sha256 = ? WHERE project_id = ?"
STATEMENTS = {
    dialect: tuple(each.replace("?", mark) for each in (_STEP, _INSERT, _ADVANCE))
    for dialect, mark in MARKS.items()
}
"""By dialect: one entry more, and the hash of the last so far, which whoever else adds one waits for; the
entry; its hash."""


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
    connection = bare(session)
    step, insert, advance = STATEMENTS[connection.dialect.name]
    project = entry["project_id"]
    seq, before = connection.exec_driver_sql(step, (project, GENESIS)).one()
    whole = {**entry, "seq": seq, "id": new_id("aud"), "created_at": now()}
    sha256 = digest(before, whole)
    moment: object = whole["created_at"]
    if connection.dialect.name == "sqlite":
        moment = f"{moment:%Y-%m-%d %H:%M:%S.%f}"  # as SQLAlchemy writes it
    values = {**whole, "created_at": moment, "data": to_json(whole["data"]), "chain_sha256": sha256}
    connection.exec_driver_sql(insert, tuple(values[name] for name in COLUMNS))
    connection.exec_driver_sql(advance, (sha256, project))
