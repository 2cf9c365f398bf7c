"""Each way to tamper with the log is found, and a log that nobody touched is in order."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.audit import chain, recording, verification
from app.audit.chain import GENESIS, digest
from app.audit.verification import Finding, Head, heads, verify
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import AuditEntry, AuditHead
from tests.support.rows import another_process

Tamper = Callable[[Any], object]
NUMBERS = 7
CHAIN = "server"


def unlocked(session: Any) -> None:
    """Take the triggers away, as only the owner of the database can."""
    if session.get_bind().dialect.name == "sqlite":
        for name in ("audit_changed", "audit_deleted", "audit_heads_put_back", "audit_heads_deleted"):
            session.execute(sa.text(f"DROP TRIGGER {name}"))
    else:
        for table in ("audit", "audit_heads"):
            session.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


@pytest.fixture
def whole(database: Database) -> Database:
    for number in range(NUMBERS):
        with database.writing() as session:
            recording.note(
                session, "thing.create", f"thing_{number}", {"number": number, "more": ["é", None]}
            )
    assert verify(database) == []
    return database


def rewritten(session: Any, first: int) -> None:
    """Compute the chain anew from an entry on."""
    before = GENESIS
    rows = session.execute(sa.select(AuditEntry.__table__).order_by(AuditEntry.seq)).mappings().all()
    for row in rows:
        sha256 = digest(before, row) if row["seq"] >= first else row["chain_sha256"]
        session.execute(sa.update(AuditEntry).where(AuditEntry.seq == row["seq"]).values(chain_sha256=sha256))
        before = sha256


def forged(session: Any, seq: int, **values: Any) -> None:
    like = session.execute(sa.select(AuditEntry.__table__).where(AuditEntry.seq == 1)).mappings().one()
    session.execute(sa.insert(AuditEntry).values({**like, "seq": seq, "id": f"aud_forged_{seq}", **values}))


def alter(session: Any, seq: int, **values: Any) -> None:
    session.execute(sa.update(AuditEntry).where(AuditEntry.seq == seq).values(**values))


def take_out(session: Any, *seqs: int) -> None:
    session.execute(sa.delete(AuditEntry).where(AuditEntry.seq.in_(seqs)))


def move_up(session: Any, seq: int) -> None:
    """Close the gap behind an entry that was taken out, and compute everything anew."""
    for number in range(seq + 1, NUMBERS + 1):
        moved = sa.update(AuditEntry).where(AuditEntry.seq == number)
        session.execute(moved.values(seq=number - 1))
    rewritten(session, 1)


ALTERED = "this entry, or the one before, is not what was written"
TAMPERING: list[tuple[str, list[Tamper], list[tuple[int, str]]]] = [
    ("an action", [lambda s: alter(s, 3, action="thing.delete")], [(3, ALTERED)]),
    ("who", [lambda s: alter(s, 3, key_id="key_other")], [(3, ALTERED)]),
    ("a role", [lambda s: alter(s, 1, role="admin")], [(1, ALTERED)]),
    ("when", [lambda s: alter(s, 3, created_at=now())], [(3, ALTERED)]),
    ("a number inside", [lambda s: alter(s, 3, data={"number": 9, "more": ["é", None]})], [(3, ALTERED)]),
    ("an object", [lambda s: alter(s, NUMBERS, object_id=None)], [(NUMBERS, ALTERED)]),
    ("a request", [lambda s: alter(s, 2, request_id="another")], [(2, ALTERED)]),
    (
        "an entry with its hash",
        [lambda s: alter(s, 3, action="x"), lambda s: _rehash(s, 3)],
        [(4, ALTERED)],
    ),
    (
        "all from there on",
        [lambda s: alter(s, 3, action="x"), lambda s: rewritten(s, 3)],
        [(NUMBERS, "the last entry is not the one that was written last")],
    ),
    ("one taken out", [lambda s: take_out(s, 4)], [(4, "the entries from here to 4 are missing")]),
    ("two taken out", [lambda s: take_out(s, 4, 5)], [(4, "the entries from here to 5 are missing")]),
    ("the first taken out", [lambda s: take_out(s, 1)], [(1, "the entries from here to 1 are missing")]),
    (
        "the last taken out",
        [lambda s: take_out(s, NUMBERS)],
        [(NUMBERS, f"the entries from here to {NUMBERS} are missing")],
    ),
    ("all taken out", [lambda s: take_out(s, *range(1, 8))], [(1, "the entries from here to 7 are missing")]),
    (
        "one taken out and all put right behind it",
        [lambda s: take_out(s, 4), lambda s: move_up(s, 4)],
        [(NUMBERS, f"the entries from here to {NUMBERS} are missing")],
    ),
    (
        "one added at the end",
        [lambda s: forged(s, 8), lambda s: rewritten(s, 8)],
        [(8, "the entries from here to 8 were added behind the end")],
    ),
    ("one put in front", [lambda s: forged(s, 0)], [(0, "no chain has an entry of this number")]),
    (
        "no head",
        [lambda s: s.execute(sa.delete(AuditHead))],
        [(0, "the end of the chain is not kept beside it any more")],
    ),
]


def _rehash(session: Any, seq: int) -> None:
    table = AuditEntry.__table__
    before, row = session.execute(sa.select(table).where(AuditEntry.seq.in_((seq - 1, seq)))).mappings().all()
    alter(session, seq, chain_sha256=digest(before["chain_sha256"], row))


@pytest.mark.parametrize(("steps", "found"), [each[1:] for each in TAMPERING], ids=[e[0] for e in TAMPERING])
def test_tampering_is_found(whole: Database, steps: list[Tamper], found: list[tuple[int, str]]) -> None:
    with whole.writing() as session:
        unlocked(session)
        for step in steps:
            step(session)
    assert verify(whole) == [Finding(CHAIN, *each) for each in found]


def test_a_log_that_was_rewritten_with_its_head_needs_a_head_from_elsewhere(whole: Database) -> None:
    kept = heads(whole)
    assert kept[CHAIN].count == NUMBERS
    with whole.writing() as session:
        recording.note(session, "thing.create", "later")
    assert verify(whole, kept) == []  # it has grown, and is still the same
    with whole.writing() as session:
        unlocked(session)
        alter(session, 3, action="thing.rename")
        rewritten(session, 3)
        last = session.scalar(sa.select(AuditEntry.chain_sha256).where(AuditEntry.seq == NUMBERS + 1))
        session.execute(sa.update(AuditHead).values(chain_sha256=last))
    assert verify(whole) == []  # as docs/audit.md says
    problem = "this entry is not the one whose hash was kept"
    assert verify(whole, kept) == [Finding(CHAIN, NUMBERS, problem)]


def test_a_chain_that_is_gone_needs_a_head_from_elsewhere(whole: Database) -> None:
    kept = heads(whole)
    with whole.writing() as session:
        unlocked(session)
        session.execute(sa.delete(AuditEntry))
        session.execute(sa.delete(AuditHead))
    assert verify(whole) == []
    assert Finding(CHAIN, 1, f"the entries from here to {NUMBERS} are missing") in verify(whole, kept)
    assert verify(whole, {"proj_gone": Head(1, "0" * 64)})[-1].problem.endswith("are missing")


def test_pages_are_chained_too(whole: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "PAGE", verification.PAGE.limit(2))
    assert verify(whole) == []
    with whole.writing() as session:
        unlocked(session)
        alter(session, 5, action="x")
    assert [each.seq for each in verify(whole)] == [5]


def test_a_log_that_grows_meanwhile_is_in_order(whole: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    first = verification._kept_heads

    def and_grow(session: Any) -> dict[str, Head]:
        found = first(session)
        with another_process(whole) as other, other.writing() as more:
            recording.note(more, "thing.create", "meanwhile")
        return found

    monkeypatch.setattr(verification, "_kept_heads", and_grow)
    assert verify(whole) == []
    monkeypatch.undo()
    assert heads(whole)[CHAIN].count == NUMBERS + 1


def test_the_hash_is_as_the_page_says(whole: Database) -> None:
    with whole.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq)).first()
    assert entry is not None
    fields = {
        "project_id": entry.project_id,
        "seq": 1,
        "id": entry.id,
        "created_at": chain.moment_of(entry.created_at),
        "key_id": None,
        "role": "server",
        "action": "thing.create",
        "object_id": "thing_0",
        "request_id": None,
        "data": {"number": 0, "more": ["é", None]},
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry.chain_sha256 == hashlib.sha256(f"{'0' * 64}\n{text}".encode()).hexdigest()


def test_entries_are_taken_away_as_the_page_says_and_missed_ever_after(whole: Database) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    scripts = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    script = scripts[0 if whole.is_sqlite else 1].replace("proj_…", CHAIN).replace("1000", "3")
    connection = whole.engine.raw_connection()
    driver: Any = connection.driver_connection
    if whole.is_sqlite:
        driver.executescript(script)
    else:
        driver.autocommit = True
        driver.execute(script)
    connection.invalidate()
    missing = [Finding(CHAIN, 1, "the entries from here to 3 are missing")]
    assert verify(whole) == missing
    with pytest.raises(DBAPIError, match="append-only"), whole.writing() as session:
        session.execute(sa.delete(AuditEntry))
    with whole.writing() as session:
        recording.note(session, "thing.create", "later")
    assert verify(whole) == missing
