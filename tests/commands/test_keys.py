"""keys create, list and revoke, and what the audit log has of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from app.cli import application
from app.keys import service
from app.keys.service import Authenticator
from app.storage import migration
from app.storage.database import Database
from app.storage.tables import AuditEntry, Key


@pytest.fixture
def run(database: Database) -> Any:
    url = database.url.render_as_string(hide_password=False)

    def command(*words: str) -> Any:
        return CliRunner().invoke(application, [*words, "--database-url", url])

    return command


def keys(database: Database) -> list[Key]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Key).order_by(Key.id)))


def test_a_key_is_made_listed_and_revoked(database: Database, run: Any) -> None:
    made = run("keys", "create", "dashboard", "--role", "read", "--project", "biology")
    secret = made.stdout.strip()
    found = Authenticator(database).check(secret, "")
    assert found is not None
    assert found.role == "read"
    listed = run("keys", "list").stdout
    assert f"{found.key_id}  read     biology  active  never used  dashboard" in listed
    assert secret not in listed
    assert run("keys", "revoke", found.key_id).exit_code == 0
    assert "revoked" in run("keys", "list").stdout
    assert Authenticator(database).check(secret, "") is None
    unknown = run("keys", "revoke", "key_none")
    assert unknown.exit_code == 1
    assert "key_none" in unknown.stderr
    with database.reading() as session:
        entries = session.execute(sa.select(AuditEntry.action, AuditEntry.role).order_by(AuditEntry.id)).all()
    assert [tuple(each) for each in entries] == [
        ("project.create", "operator"),
        ("key.create", "operator"),
        ("key.delete", "operator"),
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("2090-01-01T00:00:00Z", None),
        ("2090-01-01", None),
    ],
)
def test_a_key_ends_when_it_is_told_to(
    database: Database, run: Any, text: str, left: timedelta | None
) -> None:
    assert run("keys", "create", "a", "--expires", text).exit_code == 0
    (key,) = keys(database)
    assert key.expires_at is not None
    if left is None:
        assert key.expires_at == datetime(2090, 1, 1, tzinfo=UTC)
    else:
        assert abs(key.expires_at - datetime.now(UTC) - left) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["soon", "90", "2020-01-01", "9999999d", "-1d", ""])
def test_an_end_that_is_none_makes_no_key(database: Database, run: Any, text: str) -> None:
    refused = run("keys", "create", "a", f"--expires={text}")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("expires: ")
    assert keys(database) == []


def test_the_operator_may_revoke_the_last_admin_key_and_make_another(database: Database, run: Any) -> None:
    with database.writing() as session:
        key, _ = service.create(session, name="only", role="admin")
    revoked = run("keys", "revoke", key.id)
    assert revoked.exit_code == 0
    assert "keys create NAME --role admin" in revoked.stderr
    secret = run("keys", "create", "way back", "--role", "admin").stdout.strip()
    found = Authenticator(database).check(secret, "")
    assert found is not None
    assert found.role == "admin"


def test_a_limit_of_a_project_is_logged(database: Database, run: Any) -> None:
    run("keys", "create", "a", "--project", "biology")
    assert run("projects", "limit", "biology", "--running", "2").exit_code == 0
    with database.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert (entry.action, entry.role) == ("project.update", "operator")
    assert entry.data["max_running"] == 2


@pytest.mark.parametrize("words", [("", "--role", "read"), ("k", "--project", "two\nlines"), ("k" * 256,)])
def test_what_the_api_would_not_take_as_a_name_makes_no_key(
    database: Database, run: Any, words: tuple[str, ...]
) -> None:
    made = run("keys", "create", *words)
    assert made.exit_code == 2
    assert "1 to 255 characters" in made.stderr
    assert keys(database) == []


@pytest.mark.parametrize(
    "command",
    ["keys create k", "keys list", "keys revoke key_a", "projects list", "projects show a", "audit verify"],
)
def test_what_has_no_database_makes_none(tmp_path: Path, command: str) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        said = CliRunner().invoke(application, [*command.split(), "--data-dir", str(directory)])
        assert said.exit_code == 1
        assert said.stderr.strip() == f"chainrule-server: There is no database {directory}/chainrule.sqlite."
    assert [*tmp_path.iterdir()] == []


def test_an_older_schema_and_a_database_that_is_away_are_told_in_a_line(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    if backend == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    database = Database(url, 2)
    migration.upgrade(database, "0002")
    database.close()
    said = CliRunner().invoke(application, ["keys", "list", "--database-url", url])
    assert (said.exit_code, said.stderr.count("\n")) == (1, 1)
    assert "has the schema 0002" in said.stderr
    away = (
        "postgresql://nobody@127.0.0.1:1/none" if backend == "postgres" else "sqlite:////proc/none/x.sqlite"
    )
    said = CliRunner().invoke(application, ["keys", "list", "--database-url", away])
    assert (said.exit_code, "Traceback" in said.output) == (1, False)
    assert said.stderr.startswith("chainrule-server: ")
