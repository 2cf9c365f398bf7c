"""Request lines are written a few at a time: soon, each whole, and never so many that a pipe parts them."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import PIPE_BUF

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.main import create_app, prepare
from app.request_log import LATE_SECONDS, RequestLines
from app.settings import Settings
from app.storage.database import Database

Capture = pytest.CaptureFixture[str]


@contextmanager
def standard_error() -> Iterator[socket.socket]:
    """The other end of it, where what is written at once is read at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept = os.dup(2)
    os.dup2(theirs.fileno(), 2)
    ours.setblocking(False)
    try:
        yield ours
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        ours.close()
        theirs.close()


def written(end: socket.socket) -> list[list[str]]:
    """The request ids of the lines of each write."""
    found = []
    with suppress(BlockingIOError):
        while piece := end.recv(1 << 20):
            assert len(piece) <= PIPE_BUF
            assert piece.endswith(b"\n")
            found.append([json.loads(line)["request_id"] for line in piece.splitlines()])
    return found


def ask(lines: RequestLines, *request_ids: str) -> None:
    for each in request_ids:
        lines.write({"method": "GET", "state": {"request_id": each}}, 200, 10, 0.001)


def test_lines_wait_for_one_another_but_not_for_long() -> None:
    async def run(lines: RequestLines, end: socket.socket) -> None:
        for pair in (["a", "b"], ["c", "d"]):
            ask(lines, *pair)
            assert written(end) == []
            await asyncio.sleep(5 * LATE_SECONDS)
            assert written(end) == [pair]

    with standard_error() as end:
        asyncio.run(run(RequestLines(as_text=False), end))


def test_many_lines_are_whole_and_in_their_order() -> None:
    names = [f"id-{number}" for number in range(100)]

    async def run(lines: RequestLines, end: socket.socket) -> None:
        ask(lines, *names)
        at_once = written(end)
        await asyncio.sleep(5 * LATE_SECONDS)
        assert 1 < len(at_once) < 50
        assert [each for piece in at_once + written(end) for each in piece] == names

    with standard_error() as end:
        asyncio.run(run(RequestLines(as_text=False), end))


def test_a_server_that_ends_has_written_its_last_lines(tmp_path: Path, capfd: Capture) -> None:
    settings = Settings(data_dir=tmp_path, admin_key=SecretStr("a-key-of-tests-of-lines"), log_format="json")
    database = Database(settings.url)
    prepare(settings, database)
    with TestClient(create_app(settings, database), base_url="http://localhost") as client:
        request_id = client.get("/livez").headers["x-request-id"]
        assert request_id not in capfd.readouterr().err
    assert request_id in capfd.readouterr().err
    database.close()
