"""Who wrote what of a job: triggers beside the product that note the fence of its time with every write.

Equal bits hide a stale write. So a trigger gives each claim a learning rate of its own, which an epoch's row
and a model carry; a snapshot's bytes carry the fence that they were written under.
"""

import json
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.storage.database import Database

TABLE = "CREATE TABLE test_writes (what TEXT, fence BIGINT, rate FLOAT, head {bytes}, status TEXT)"
NOTED = {
    "epochs": "SELECT 'epochs', fence, NEW.learning_rate, NULL, status FROM jobs WHERE id = NEW.job_id",
    "snapshots": "SELECT 'snapshots', fence, NULL, {head}, status FROM jobs JOIN blobs "
    "ON blobs.sha256 = NEW.content WHERE id = NEW.job_id",
    "models": "SELECT 'models', fence, {rate}, NULL, status FROM jobs WHERE id = NEW.job_id",
}
RATE, STEP = "0.001", "0.00001"
"""The learning rate of a claim: so much, and so much more for each fence."""

MARKING = {
    True: [
        f"""CREATE TRIGGER test_claims AFTER UPDATE OF fence ON jobs FOR EACH ROW BEGIN
        UPDATE jobs SET training =
        json_set(training, '$.optimizer.learning_rate', {RATE} + {STEP} * NEW.fence)
        WHERE id = NEW.id; END"""
    ],
    False: [
        f"""CREATE FUNCTION test_claims() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.fence <> OLD.fence THEN NEW.training = jsonb_set(
        NEW.training::jsonb, '{{optimizer,learning_rate}}', to_jsonb({RATE} + {STEP} * NEW.fence))::json;
        END IF; RETURN NEW; END $$""",
        "CREATE TRIGGER test_claims BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION test_claims()",
    ],
}
DIALECTS = {
    True: {
        "bytes": "BLOB",
        "head": "substr(data, 1, 4000)",
        "rate": "json_extract(NEW.training, '$.optimizer.learning_rate')",
    },
    False: {
        "bytes": "BYTEA",
        "head": "substring(data FROM 1 FOR 4000)",
        "rate": "(NEW.training->'optimizer'->>'learning_rate')::float",
    },
}


class Marks:
    """The writes to one database, each beside the fence of its time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        words = DIALECTS[database.is_sqlite]
        with database.writing() as session:
            session.execute(sa.text(TABLE.format(**words)))
            for statement in MARKING[database.is_sqlite]:
                session.execute(_text(statement))
            for table, select in NOTED.items():
                self._install(session, table, f"INSERT INTO test_writes {select.format(**words)};")

    def _install(self, session: Session, table: str, insert: str) -> None:
        when = f"CREATE TRIGGER test_{table} AFTER INSERT ON {table} FOR EACH ROW"
        if self._database.is_sqlite:
            session.execute(_text(f"{when} BEGIN {insert} END"))
            return
        body = f"BEGIN {insert} RETURN NEW; END"
        function = f"CREATE FUNCTION test_{table}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
        session.execute(_text(function))
        session.execute(_text(f"{when} EXECUTE FUNCTION test_{table}()"))

    def seen(self) -> Counter[str]:
        """How many writes there were, by table."""
        counting = sa.text("SELECT what, count(*) AS writes FROM test_writes GROUP BY what")
        with self._database.reading() as session:
            return Counter({row.what: row.writes for row in session.execute(counting)})

    def stale(self) -> list[str]:
        """The writes that came from another claim than the one that the job had at their time."""
        with self._database.reading() as session:
            rows = session.execute(sa.text("SELECT what, fence, rate, head, status FROM test_writes")).all()
        found = []
        for what, fence, rate, head, status in rows:
            theirs = _fence_in(bytes(head)) if head is not None else round((rate - float(RATE)) / float(STEP))
            if theirs != fence:
                found.append(f"{what}: fence {theirs} wrote when {fence} held the job ({status})")
        return found


def _text(statement: str) -> sa.TextClause:
    return sa.text(statement.replace(":", r"\:"))


def _fence_in(head: bytes) -> int:
    """From the metadata at the head of a snapshot."""
    size = int.from_bytes(head[:8], "little")
    return int(json.loads(head[8 : 8 + size])["__metadata__"]["fence"])
