"""worker, webhooks, check: what is not there is not made, but told."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import application


@pytest.mark.parametrize("words", [("worker",), ("webhooks",), ("check",), ("check", "--repair")])
def test_a_directory_that_is_none_of_ours_stays_as_it_is(words: tuple[str, ...], tmp_path: Path) -> None:
    """An empty database would be made there, and nothing be restored beside it."""
    done = CliRunner().invoke(application, [*words, "--data-dir", str(tmp_path / "wrong")])
    assert done.exit_code == 1
    assert done.stderr == f"chainrule-server: There is no database {tmp_path}/wrong/chainrule.sqlite.\n"
    assert [*tmp_path.iterdir()] == []


def test_a_database_that_is_away_is_no_traceback() -> None:
    url = "postgresql://user:secret@127.0.0.1:1/name"
    for words in (("check",), ("check", "--repair"), ("migrate",), ("backup", "no.tar")):
        done = CliRunner().invoke(application, [*words, "--database-url", url])
        assert done.exit_code == 1
        assert "chainrule-server: the database says:" in done.stderr
        assert "secret" not in done.output
    assert not Path("no.tar").exists()
