"""What a server does and leaves behind, seen from below, while every kind of request goes through it."""

import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import sqlalchemy as sa

from app.storage.declaring import Table
from tests.support.canaries import Walked, leaks, walk
from tests.support.server import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WATCHED = ROOT / "tests" / "support" / "watched"
OURS = {
    r"-P -s -m app\.datasets\.child \S+/incoming",
    r"-P -s -m app\.exports\.child \S+/incoming",
    r"-P -m app\.worker wrk_\w+ embedded",
    r"-P -m app\.webhooks embedded",
}
"""What the API starts: Python, with these arguments."""
CELLS_BELONG = {
    *("blobs.data", "blob_chunks.data", "datasets.columns", "idempotency_keys.body"),
    *("jobs.encoding", "jobs.requested", "jobs.training", "jobs.result"),
    *("models.encoding", "models.training", "models.metrics"),
    "evaluations.found",
}
"""Columns of the database that hold values of users: files, what was found there, what was asked for."""


class Event(NamedTuple):
    time: float
    event: str
    what: str
    places: list[str]


class Seen(NamedTuple):
    server: Server
    walked: Walked
    notes: dict[int, tuple[list[str], list[Event]]]
    """By process: its command line, and what it did."""
    temporary: Path
    began: float
    """When the server was ready."""
    connections: list[Any]
    """Of the API, after the walk."""

    @property
    def api(self) -> list[Event]:
        return self.notes[self.server.process.pid][1]

    def of(self, word: str) -> list[Event]:
        found = [events for command, events in self.notes.values() if word in " ".join(command)]
        assert found
        return [each for events in found for each in events]


@pytest.fixture(scope="module")
def seen(new_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    notes, temporary = tmp_path_factory.mktemp("notes"), tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as private:
        patch.setenv("PYTHONPATH", f"{WATCHED}:{ROOT}")
        patch.setenv("WATCHED_DIRECTORY", str(notes))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        patch.setenv("TMPDIR", str(temporary))
        server = new_server(workers=1, webhooks=True, webhook_private=True)
        began, port = time.time(), private.getsockname()[1]
        walked = walk(server, port)
        connections = psutil.Process(server.process.pid).net_connections("all")
        yield Seen(server, walked, read(notes), temporary, began, connections)


def read(notes: Path) -> dict[int, tuple[list[str], list[Event]]]:
    found = {}
    for path in notes.iterdir():
        command, *events = map(json.loads, path.read_text().splitlines())
        found[int(path.stem)] = command, [Event(**each) for each in events]
    return found


def of_kind(events: list[Event], *kinds: str) -> list[Event]:
    return [each for each in events if each.event in kinds]


def test_the_watch_sees_what_is_done(tmp_path: Path, seen: Seen) -> None:
    kinds = {each.event for each in seen.api}
    assert {"exec", "open", "subprocess.Popen", "socket.bind", "os.remove"} <= kinds


def test_the_api_unpickles_nothing(seen: Seen) -> None:
    assert of_kind(seen.api, "pickle.find_class") == []


def test_supervisors_unpickle_nothing_and_trainers_only_their_start(seen: Seen) -> None:
    assert of_kind(seen.of("app.worker"), "pickle.find_class") == []
    for each in of_kind(seen.of("spawn_main"), "pickle.find_class"):
        assert any("multiprocessing/spawn.py" in place for place in each.places), each


def test_the_api_starts_only_its_own_children(seen: Seen) -> None:
    for each in of_kind(seen.api, "subprocess.Popen"):
        program, *arguments = json.loads(each.what)
        assert Path(program).resolve() == Path(sys.executable).resolve()
        assert any(re.fullmatch(ours, " ".join(arguments)) for ours in OURS), each.what
    assert of_kind(seen.api, "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty") == []


def test_the_api_runs_no_code_but_its_files(seen: Seen) -> None:
    own = (f"{ROOT}/", f"{Path(sys.prefix).resolve()}/", f"{sys.prefix}/", f"{sys.base_prefix}/", "<frozen ")
    after = [each for each in seen.api if each.time > seen.began]
    assert after
    for each in of_kind(after, "exec", "compile"):
        # SQLAlchemy writes its visitors itself, and modules that are imported late their data classes.
        writers = ("/sqlalchemy/", ":<module>")
        generated = each.what == "<string>" and any(
            writer in place for place in each.places for writer in writers
        )
        assert generated or each.what.startswith(own), each


def test_the_api_connects_to_its_database_only(seen: Seen) -> None:
    assert of_kind(seen.api, "socket.connect", "socket.sendto") == []
    listening = seen.server.port
    for each in seen.connections:  # the driver's own, too, which Python does not see
        if each.family in (socket.AF_INET, socket.AF_INET6):
            assert each.laddr.port == listening, each


def test_the_api_writes_into_its_data_directory_only(seen: Seen) -> None:
    writing = (
        "open",
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.truncate",
        "os.rename",
        "os.link",
        "os.symlink",
    )
    for each in of_kind(seen.api, *writing):
        assert Path(each.what).is_relative_to(seen.server.data_dir) or each.what == "/dev/null", each


def test_temporary_files_are_none(seen: Seen) -> None:
    assert list(seen.temporary.rglob("*")) == []
    assert list((seen.server.data_dir / "incoming").iterdir()) == []


def test_logs_and_error_bodies_have_no_key_and_no_cell(seen: Seen) -> None:
    assert leaks(seen.server.log.read_bytes(), seen.walked.keys) == []
    for each in seen.walked.refused:
        assert each.status_code >= 400, (each.request.url, each.request.content[:200], each.text[:300])
        assert leaks(each.content, seen.walked.keys) == [], (each.request.content[:200], each.text)


def test_files_hold_cells_only_where_they_belong(seen: Seen) -> None:
    keys = seen.walked.keys
    for path in seen.server.data_dir.rglob("*"):
        if path.is_file() and path.name != "admin.key":
            part = path.relative_to(seen.server.data_dir).parts[0]
            cells = part not in ("blobs", "cache") and not part.startswith("chainrule.sqlite")
            assert leaks(path.read_bytes(), keys, cells) == [], path


def test_the_database_holds_no_key_and_cells_only_where_they_belong(seen: Seen) -> None:
    found = set()
    with seen.server.database() as database, database.reading() as session:
        for table in Table.metadata.tables.values():
            for row in session.execute(sa.select(table)).mappings():
                for name, value in row.items():
                    content = value if isinstance(value, bytes) else str(value).encode()
                    assert leaks(content, seen.walked.keys, cells=False) == []
                    if leaks(content, []):
                        found.add(f"{table.name}.{name}")
    assert found - CELLS_BELONG == set()
    assert {"datasets.columns", "jobs.encoding"} <= found
