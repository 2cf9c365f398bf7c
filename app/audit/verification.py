"""Is the log what was written? Finds entries that were altered, taken out or put in between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.chain import GENESIS, digest
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import AuditEntry, AuditHead

AT_ONCE = 2000

_entries, _heads = core(AuditEntry), core(AuditHead)
PAGE = (
    sa.select(_entries)
    .where(_entries.c.project_id == sa.bindparam("project"), _entries.c.seq > sa.bindparam("after"))
    .order_by(_entries.c.seq)
    .limit(AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many entries it has, and the hash of the last."""

    count: int
    chain_sha256: str


class Finding(NamedTuple):
    """What is wrong, with a project's chain, at an entry (0: with all of it)."""

    project_id: str
    seq: int
    problem: str


def heads(database: Database) -> dict[str, Head]:
    """The end of each chain, by its project. Whoever keeps them elsewhere can have `verify` compare."""
    with database.reading() as session:
        return _kept_heads(session)


def verify(database: Database, known: Mapping[str, Head] | None = None) -> list[Finding]:
    """Everything that is wrong with the log; nothing, if it is whole.

    ``known`` are earlier `heads` that were kept where the database's owner cannot change them: only they can
    tell a log that was rewritten from its middle to its end, heads and all.
    """
    with database.reading() as session:
        if not database.is_sqlite:  # entries and heads as of one moment
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        beside = _kept_heads(session)
        projects = session.scalars(sa.select(_entries.c.project_id).distinct()).all()
        found: list[Finding] = []
        for project in sorted({*projects, *beside, *(known or {})}):
            found += _verified(session, project, beside.get(project), (known or {}).get(project))
        return found


def _kept_heads(session: Session) -> dict[str, Head]:
    rows = session.execute(sa.select(_heads.c.project_id, _heads.c.count, _heads.c.chain_sha256))
    return {project: Head(count, sha256) for project, count, sha256 in rows}


def _verified(session: Session, project: str, head: Head | None, known: Head | None) -> Iterator[Finding]:
    last = Head(0, GENESIS)
    for entry in _all(session, project):
        seq, sha256 = entry["seq"], entry["chain_sha256"]
        if seq < 1:
            yield Finding(project, seq, "no chain has an entry of this number")
            continue
        if seq != last.count + 1:
            yield Finding(project, last.count + 1, f"the entries from here to {seq - 1} are missing")
        elif digest(last.chain_sha256, entry) != sha256:
            yield Finding(project, seq, "this entry, or the one before, is not what was written")
        last = Head(seq, sha256)
        if known is not None and seq == known.count and sha256 != known.chain_sha256:
            yield Finding(project, seq, "this entry is not the one whose hash was kept")
    if head is None:
        yield Finding(project, 0, "the end of the chain is not kept beside it any more")
    elif head.count != last.count:
        first, end = sorted((head.count, last.count))
        what = "are missing" if head.count > last.count else "were added behind the end"
        yield Finding(project, first + 1, f"the entries from here to {end} {what}")
    elif head.chain_sha256 != last.chain_sha256:
        yield Finding(project, last.count, "the last entry is not the one that was written last")
    if known is not None and last.count < known.count:
        yield Finding(project, last.count + 1, f"the entries from here to {known.count} are missing")


def _all(session: Session, project: str) -> Iterator[dict[str, Any]]:
    after = -(2**62)
    while page := session.execute(PAGE, {"project": project, "after": after}).all():
        for row in page:
            yield row._asdict()
        after = page[-1].seq
