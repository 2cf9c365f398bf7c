"""Processes that try to get out: what the walls of parsers and trainers refuse, and what they leave."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app import confinement, serving
from app.confinement import landlock, seccomp
from app.settings import Settings
from tests.support.breakout import FILE_BYTES, MEMORY_BYTES
from tests.support.server import Server, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
ROOT = Path(__file__).parents[2]

INSIDE = {"write inside", "read back", "remove", "thread"}
LIMITS = {"much memory", "a large file", "many files", "a higher limit"}
FILES = {
    *("read outside", "read outside in a thread", "write outside", "truncate outside", "remove outside"),
    *("move out", "link out", "its parent's environment", "its parent's memory"),
}
CALLS = {
    *("signal its parent", "limit its parent", "trace its parent", "io_uring", "user namespace"),
    *("socket by x32", "connect", "connect in a thread", "bind", "udp", "unix socket"),
}
PROCESSES = {"fork", "run python", "run a shell"}
BEYOND_ALL = (FILES | CALLS | {"run a shell"}) - {"udp", "unix socket"}
"""What is refused to all."""


@pytest.fixture(scope="module", autouse=True)
def _can_be_confined() -> None:
    if lacking := confinement.lacking():
        pytest.skip(f"this kernel has no walls: {lacking}")


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_greet, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]


def _greet(listening: socket.socket) -> None:
    try:
        while True:
            listening.accept()[0].close()
    except OSError:
        return


def break_out(
    who: str, directory: Path, port: int, allowed_port: int = 0, lacking: str = "nothing"
) -> tuple[set[str], dict[str, str]]:
    """What went through, and what came of the rest."""
    inside, secret = directory / "cache", directory / "secret"
    inside.mkdir(parents=True)
    secret.write_text("a key")
    command = [
        sys.executable,
        "-m",
        "tests.support.breakout",
        who,
        inside,
        secret,
        port,
        allowed_port,
        lacking,
    ]
    limits = {"memory_bytes": MEMORY_BYTES, "cpu_seconds": 60, "file_bytes": FILE_BYTES}
    request = {"verb": "rebuild", "path": str(inside), "directory": str(inside), **limits}
    with subprocess.Popen(
        [str(each) for each in command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()  # and stays open: a parser ends when its parent does
        said = process.stdout.read()
    came: dict[str, str] = json.loads(said.splitlines()[-1])["done"]  # behind its word that it is ready
    return {name for name, error in came.items() if not error}, {
        name: error for name, error in came.items() if error
    }


def test_without_walls_all_of_it_goes_through(tmp_path: Path, port: int) -> None:
    _, refused = break_out("nobody", tmp_path, port)
    # The secret is gone before it is linked; the rest asks for what this kernel may not have.
    assert refused.keys() <= {"link out", "socket by x32", "io_uring", "user namespace", "trace its parent"}


def test_a_parser_has_its_files_and_nothing_else(tmp_path: Path, port: int) -> None:
    passed, refused = break_out("parser", tmp_path, port)
    assert passed == INSIDE
    assert refused.keys() >= BEYOND_ALL | PROCESSES | LIMITS | {"udp", "unix socket", "list inside"}
    limits = {name: refused.pop(name) for name in LIMITS}
    assert limits == {
        "much memory": "MemoryError",
        "a large file": "EFBIG",
        "many files": "EMFILE",
        "a higher limit": "ValueError",
    }
    assert set(refused.values()) == {"EPERM", "EACCES"}


def test_a_trainer_has_its_directory_its_forks_and_python(tmp_path: Path, port: int) -> None:
    passed, _ = break_out("trainer", tmp_path, port)
    assert passed == {*INSIDE, *LIMITS, "list inside", "fork", "run python"}


def test_a_trainer_of_a_database_has_its_port(tmp_path: Path, port: int) -> None:
    if landlock.version() < 4:
        pytest.skip("this kernel does not tell ports apart")
    _, refused = break_out("trainer of a database", tmp_path / "other", port, port + 1)
    assert refused.keys() == BEYOND_ALL
    _, refused = break_out("trainer of a database", tmp_path / "its", port, port)
    assert refused.keys() == BEYOND_ALL - {"connect", "connect in a thread"}


def test_without_landlock_files_are_open_and_nothing_else_is(tmp_path: Path, port: int) -> None:
    passed, refused = break_out("parser", tmp_path / "parser", port, lacking="landlock")
    assert refused.keys() >= CALLS | PROCESSES | LIMITS
    assert passed >= INSIDE
    passed, refused = break_out("trainer", tmp_path / "trainer", port, lacking="landlock")
    assert refused.keys() >= CALLS - {"signal its parent"}
    assert passed >= {*INSIDE, "fork", "run python"}


def test_without_seccomp_files_and_ports_stay_closed(tmp_path: Path, port: int) -> None:
    for who in ("parser", "trainer"):
        passed, refused = break_out(who, tmp_path / who, port, lacking="seccomp")
        ports = {"connect", "bind"} if landlock.version() >= 4 else set()
        assert refused.keys() >= FILES | {"run a shell"} | ports
        assert passed >= INSIDE


CHILD = """
import subprocess, sys
from pathlib import Path
from app.confinement import confine
confine(read=map(Path, sys.argv[2:]), processes=True)
command = [sys.executable, "-c", "import sys; open(sys.argv[1])", sys.argv[1]]
sys.exit(subprocess.run(command, stderr=subprocess.DEVNULL).returncode)
"""


def test_what_a_confined_process_starts_is_confined(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a key")
    for allowed, code in (([], 1), ([tmp_path], 0)):
        command = [sys.executable, "-c", CHILD, secret, *allowed]
        assert subprocess.run(list(map(str, command)), cwd=ROOT, check=False).returncode == code


def walls_of(process: psutil.Process) -> dict[str, str]:
    told = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return dict(
        line.split(":\t", 1)
        for line in told
        if line.startswith(("Seccomp:", "Seccomp_filters:", "NoNewPrivs:"))
    )


def test_the_processes_of_a_server_stand_behind_walls(server: Server) -> None:
    api, supervisors, trainers, _ = server.processes()
    started = api.children(recursive=True)
    parsers = [each for each in started if "app.predictions.child" in each.cmdline()]
    assert supervisors
    assert len(parsers) == 2  # the one that forks them, and one that waits
    until(lambda: all(walls_of(each)["Seccomp"] == "2" for each in (*parsers, *trainers)))
    until(lambda: {walls_of(each)["Seccomp_filters"] for each in parsers} == {"1", "2"})
    for each in (api, *supervisors, *parsers, *trainers):
        assert walls_of(each)["NoNewPrivs"] == "1"
        assert each.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    for each in parsers:
        names = set(each.environ())
        assert not {name for name in names if name.startswith("CHAINRULE_")} - {"CHAINRULE_CONFINEMENT"}


def test_a_server_that_must_be_confined_starts_only_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(confinement.MODE, "auto")  # and taken back
    serving.check_confinement(Settings(confinement="required"))
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    monkeypatch.setattr(landlock, "version", lambda: 1)
    with pytest.raises(serving.RefusesToStart, match=r"seccomp.*Landlock"):
        serving.check_confinement(Settings(confinement="required"))
    serving.check_confinement(Settings(confinement="off"))
    assert caplog.messages == []
    serving.check_confinement(Settings(confinement="auto"))
    assert "seccomp" in caplog.text


def test_who_has_turned_the_walls_off_has_none(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(confinement.MODE, "off")
    passed, _ = break_out("parser", tmp_path, port)
    assert passed >= {"read outside", "write outside", "connect", "fork"}
