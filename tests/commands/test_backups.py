"""backup, restore and copy: what they say when something is not as it should be."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from app.cli import application
from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import AuditEntry
from tests.support.rows import add_dataset, add_job
from tests.support.server import COMMAND

SOUND = "sqlite:///there/chainrule.sqlite"


def run(*words: Any) -> Any:
    return CliRunner().invoke(application, [str(word) for word in words])


def place_of(database: Database, blobs: Blobs) -> tuple[Any, ...]:
    url = database.url.render_as_string(hide_password=False)
    return "--data-dir", blobs.directory.parent, "--database-url", url


@pytest.mark.parametrize(
    "url",
    [
        "chainrule-data/chainrule.sqlite",
        "postgres://user:secret@host/name",
        "postgresql://user:secret@host:port/name",
        "sqlite://",
        "",
    ],
)
def test_what_is_no_url_of_a_database_is_not_repeated(url: str) -> None:
    """A password may be in it."""
    for words in (
        ("copy", "--from", url, "--to", SOUND),
        ("copy", "--from", SOUND, "--to", url),
        ("check", "--database-url", url),
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert "write postgresql://user:password@host/name, or sqlite:///path" in done.stderr
        assert "secret" not in done.output
        assert done.output.count("\n") == 1


def test_an_older_schema_is_backed_up_before_it_is_migrated(
    database: Database, blobs: Blobs, tmp_path: Path
) -> None:
    add_dataset(database, blobs)
    job = add_job(database)
    migration.downgrade(database, "0002")
    done = run("backup", tmp_path / "old.tar", *place_of(database, blobs))
    assert done.exit_code == 0, done.output
    assert "It is not in the audit log:" in done.stderr
    assert "old.tar has" in done.stdout
    there = tmp_path / "there"
    assert run("restore", tmp_path / "old.tar", "--data-dir", there).exit_code == 0
    other = Database(f"sqlite:///{there / 'chainrule.sqlite'}", 1)
    with other.reading() as session:
        assert session.scalars(sa.text("SELECT id FROM jobs")).all() == [job]
        assert session.scalars(sa.select(AuditEntry.action)).all() == ["server.restore"]
    assert migration.is_current(other)
    other.close()


def test_a_backup_and_a_copy_are_in_the_log(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "backup.tar", *place_of(database, blobs)).exit_code == 0
    with database.reading() as session:
        (entry,) = session.scalars(sa.select(AuditEntry).where(AuditEntry.action.startswith("server.")))
    assert (entry.action, entry.role, entry.project_id) == ("server.backup", "operator", "server")


def test_a_word_of_progress_and_no_more(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    command = [COMMAND, "backup", str(tmp_path / "b.tar"), *map(str, place_of(database, blobs))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.endswith("rows and 0 large blobs, 0.0 MiB.\n")
