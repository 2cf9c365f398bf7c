"""worker, webhooks, check: what is not there is not made, but told."""

import ctypes
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from app.cli import application
from app.confinement import ROOT
from tests.support.server import COMMAND, Server


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


def test_a_wrong_setting_is_named_in_words_of_its_kind() -> None:
    done = CliRunner().invoke(application, ["serve"], env={"CHAINRULE_ADMIN_KEY": "short"})
    assert done.exit_code == 2
    told = "admin_key (CHAINRULE_ADMIN_KEY): Value should have at least 16 characters, not 5\n"
    assert done.stderr == told


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    port = str(urlsplit(server.url).port)
    words = [COMMAND, "serve", "--port", port, "--data-dir", str(tmp_path), "--workers", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"chainrule-server: 127.0.0.1, port {port}, cannot be listened on" in done.stderr


HEAPS = """
import ctypes, threading
from app.commands.running import keep_one_heap
keep_one_heap()
thread = threading.Thread(target=lambda: [bytearray(10_000) for _ in range(100)])
thread.start()
thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_threads_share_one_heap() -> None:
    command = [sys.executable, "-c", HEAPS]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert told.count("<heap nr=") == 1
