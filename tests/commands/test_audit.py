"""audit heads and verify, and the entries that commands leave."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from typer.testing import CliRunner

from app.audit.recording import note
from app.cli import application
from app.main import prepare
from app.settings import Settings
from app.storage import migration
from app.storage.database import Database
from app.storage.tables import AuditEntry
from tests.audit.test_verification import unlocked


@pytest.fixture
def run(database: Database) -> Any:
    url = database.url.render_as_string(hide_password=False)

    def command(*words: str) -> Any:
        return CliRunner().invoke(application, [*words, "--database-url", url])

    return command


@pytest.fixture
def logged(database: Database) -> Database:
    for number in range(3):
        with database.writing() as session:
            note(session, "thing.create", f"thing_{number}")
    return database


def test_heads_are_printed_and_compared(logged: Database, run: Any, tmp_path: Path) -> None:
    printed = run("audit", "heads")
    assert json.loads(printed.stdout)["server"]["count"] == 3
    kept = tmp_path / "heads.json"
    kept.write_text(printed.stdout)
    assert run("audit", "verify", "--heads", str(kept)).exit_code == 0
    with logged.writing() as session:
        note(session, "thing.create", "later")
    assert run("audit", "verify", "--heads", str(kept)).exit_code == 0
    changed = json.loads(printed.stdout)
    changed["server"]["chain_sha256"] = "1" * 64
    kept.write_text(json.dumps(changed))
    refused = run("audit", "verify", "--heads", str(kept))
    assert refused.exit_code == 1
    assert "project server, entry 3: " in refused.stdout
    assert run("audit", "verify").exit_code == 0


def test_an_entry_that_was_changed_is_named(logged: Database, run: Any) -> None:
    with logged.writing() as session:
        unlocked(session)
        session.execute(sa.update(AuditEntry).where(AuditEntry.seq == 2).values(action="nothing"))
    refused = run("audit", "verify")
    assert (refused.exit_code, refused.stdout.count("\n")) == (1, 1)
    assert refused.stdout.startswith("project server, entry 2: ")
    assert "docs/audit.md" in refused.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {}}'])
def test_what_are_no_heads_is_refused(run: Any, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "heads.json"
    kept.write_text(text)
    assert run("audit", "verify", "--heads", str(kept)).exit_code == 2


def test_a_restored_database_says_that_it_was(logged: Database, run: Any, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    file, there = tmp_path / "backup.tar", tmp_path / "there"
    assert run("backup", str(file), "--data-dir", str(tmp_path)).exit_code == 0
    restored = CliRunner().invoke(application, ["restore", str(file), "--data-dir", str(there)])
    assert restored.exit_code == 0, restored.output
    result = Database(f"sqlite:///{there / 'chainrule.sqlite'}")
    for database, action in ((logged, "server.backup"), (result, "server.restore")):
        with database.reading() as session:
            last = session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert last is not None
        assert (last.action, last.role, last.project_id) == (action, "operator", "server")
    result.close()
    verified = CliRunner().invoke(application, ["audit", "verify", "--data-dir", str(there)])
    assert verified.exit_code == 0


@pytest.mark.parametrize("by_command", [True, False])
def test_a_new_schema_is_logged(tmp_path: Path, by_command: bool) -> None:
    settings = Settings(data_dir=tmp_path, admin_key=SecretStr("an operator's own key"))
    database = Database(settings.url)
    migration.upgrade(database, "0002")
    if by_command:
        CliRunner().invoke(application, ["migrate", "--data-dir", str(tmp_path)])
    else:
        prepare(settings, database)
    with database.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "server.migrate")).one()
    assert entry.role == ("operator" if by_command else "server")
    assert entry.data == {"before": "0002", "after": migration.head()}
    database.close()
