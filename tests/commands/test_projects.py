"""Limits of projects from the command line, on both databases."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from app.cli import application
from app.keys.service import project_named
from app.storage.database import Database


@pytest.fixture
def run(database: Database) -> Callable[..., str]:
    with database.writing() as session:
        project_named(session, "biology")
    url = database.url.render_as_string(hide_password=False)

    def command(*arguments: str, code: int = 0) -> str:
        url_of = url.replace("postgresql+psycopg", "postgresql")
        result = CliRunner().invoke(application, ["projects", *arguments, "--database-url", url_of])
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    return command


def test_limits_are_set_one_by_one_and_reset_together(run: Callable[..., str]) -> None:
    assert "biology as the settings say" in run("list")
    run("limit", "biology", "--running", "2", "--bytes", "1000")
    run("limit", "biology", "--queued", "0", "--requests-per-minute", "60")
    assert "biology max_running 2 max_queued 0 max_bytes 1000 max_requests_per_minute 60" in run("list")
    shown = run("show", "biology")
    for line in ("max_running 2", "max_datasets none", "max_bytes 1000", "used: bytes 0", "used: queued 0"):
        assert line in shown
    run("limit", "biology", "--reset", "--datasets", "3", "--aliases", "4")
    assert "biology max_datasets 3 max_aliases 4" in run("list")
    assert "There is no such project" in run("limit", "none", "--queued", "1", code=1)
    assert "There is no such project" in run("show", "none", code=1)
