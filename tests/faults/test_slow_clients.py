"""Clients that say half of what they want, or take nothing of what they get: nobody waits for them.

CHAINRULE_TEST_HEADS=1000 CHAINRULE_TEST_BODIES=1000 CHAINRULE_TEST_DEAF=300 \\
    python -m pytest tests/faults/test_slow_clients.py -s
"""

import contextlib
import os
import random
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from app.jobs import events
from app.jobs.events import Entry
from tests.conftest import Starter
from tests.support.nginx import PROGRAM, WHY_NOT, Nginx
from tests.support.server import Server, until
from tests.support.sockets import JSON, head, large_content
from tests.support.training import LINE, submit, upload

HEADS = int(os.environ.get("CHAINRULE_TEST_HEADS", "200"))
BODIES = int(os.environ.get("CHAINRULE_TEST_BODIES", "200"))
DEAF = int(os.environ.get("CHAINRULE_TEST_DEAF", "60"))
A_SECOND = 500
"""So many come, at most. More slowly, the first are cut off before the last are there."""

ADDRESSES = [f"127.0.0.{last}" for last in range(2, 10)]
"""Where they come from, in turn: nginx lets 500 in from each."""

Address = tuple[str, int]

FEW = (30, 30, 10)
ENDLESS = {"epochs": 10_000_000, "early_stopping": None}


class Front(NamedTuple):
    """Where clients connect: the server itself, or nginx before it; ``holders`` have the connections."""

    port: int
    wrap: Callable[[socket.socket], socket.socket]
    holders: Callable[[], list[psutil.Process]]
    log: Path


class Paths(NamedTuple):
    """What those ask for who then do not read: each is more than the system keeps for them."""

    events: str
    content: str


class Probes(threading.Thread):
    """Asks both probes again and again, on connections of their own."""

    def __init__(self, front: Front) -> None:
        super().__init__(daemon=True)
        self._front = front
        self.over = threading.Event()
        self.slowest = 0.0
        self.answers: list[int] = []

    def run(self) -> None:
        while not self.over.wait(0.1):
            for path in ("/livez", "/readyz"):
                start = time.monotonic()
                with contextlib.closing(connected(self._front)) as client:
                    client.sendall(head("GET", path, b"Host: localhost\r\nConnection: close\r\n"))
                    content = client.recv(2**16)
                self.slowest = max(self.slowest, time.monotonic() - start)
                self.answers.append(int(content.split()[1]) if content else 0)


def connected(front: Front, *, source: str = "127.0.0.1", deaf: bool = False) -> socket.socket:
    plain = socket.socket()
    plain.settimeout(20)
    plain.bind((source, 0))
    if deaf:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", front.port))
    return front.wrap(plain)


def paths(server: Server) -> Paths:
    """The events are those of a job that waits."""
    client = server.client()
    data = upload(client, large_content())["id"]
    job = submit(client, dataset_id=data, target="y", priority=-100)["id"]
    with server.database() as database, database.writing() as session:
        events.append(session, job, [Entry("job.warning", "x" * 4_000)] * 1_500)
    return Paths(f"/v1/jobs/{job}/events", f"/v1/datasets/{data}/content")


@contextlib.contextmanager
def crowd(
    server: Server, front: Front, asked: Paths, heads: int, bodies: int, deaf: int
) -> Iterator[set[Address]]:
    """So many of each kind, mixed; where they come from."""
    lines = f"Host: localhost\r\nAuthorization: Bearer {server.admin_key}\r\n".encode()
    half = head("POST", "/v1/architectures", lines, JSON, b"Content-Length: 100000\r\n") + b'{"layers": ['
    upload = head("POST", "/v1/datasets", lines, b"Content-Type: text/csv\r\nContent-Length: 99999\r\n")
    content = head("GET", asked.content, lines)
    stream = head("GET", asked.events, lines, b"Accept: text/event-stream\r\n")
    with contextlib.ExitStack() as stack:
        sources, start = set(), time.monotonic()
        coming = [(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nX-Half: ", False)] * heads
        coming += [(upload + b"x,y\n1,2\n" if each % 10 == 0 else half, False) for each in range(bodies)]
        coming += [(stream if each % 2 else content, True) for each in range(deaf)]
        random.Random(0).shuffle(coming)
        for number, (said, reads_nothing) in enumerate(coming):
            source = ADDRESSES[number % len(ADDRESSES)]
            client = connected(front, source=source, deaf=reads_nothing)
            stack.enter_context(contextlib.closing(client))
            sources.add(client.getsockname())
            with contextlib.suppress(OSError):  # a late one may find that it was sent away
                client.sendall(said)
            time.sleep(max(0.0, start + number / A_SECOND - time.monotonic()))
        yield sources


def held(front: Front, sources: set[Address]) -> int:
    """How many of those connections the other side still has."""
    found = [each for process in front.holders() for each in process.net_connections("tcp")]
    return len([each for each in found if each.raddr and tuple(each.raddr) in sources])


def endless(server: Server) -> str:
    """A job that is being trained."""
    client = server.client()
    job = submit(client, dataset_id=upload(client, LINE)["id"], target="y", training=ENDLESS)["id"]
    until(lambda: epochs(client, job) > 0, 20)
    return str(job)


def come_and_go(server: Server, front: Front, job: str, asked: Paths, counts: tuple[int, int, int]) -> None:
    """Probes answer within a second throughout, the job goes on, and the crowd is gone within 30 s."""
    client = server.client()
    probes, start = Probes(front), time.monotonic()
    before = server.processes().api.memory_info().rss
    probes.start()
    with crowd(server, front, asked, *counts) as sources:
        came, most = time.monotonic(), 0
        until(lambda: held(front, sources), 5)
        while (left := held(front, sources)) and time.monotonic() < came + 40:
            most = max(most, left)
            time.sleep(0.2)
        gone = time.monotonic() - came
    probes.over.set()
    probes.join()
    grown = server.processes().api.memory_info().rss - before
    trained = epochs(client, job)
    until(lambda: epochs(client, job) > trained, 20)
    print(
        f"\n{sum(counts)} came within {came - start:.1f} s, {most} were there, gone {gone:.1f} s later; "
        f"{len(probes.answers)} probes, the slowest {probes.slowest:.2f} s; memory grew by {grown >> 20} MiB"
    )
    assert most > sum(counts) // 2
    assert left == 0
    assert gone <= 30
    assert len(probes.answers) >= 10
    assert set(probes.answers) == {200}
    assert probes.slowest <= 1
    assert grown < 2**29
    assert client.get("/v1").status_code == 200
    assert "Traceback" not in front.log.read_text() + server.log.read_text()


def epochs(client: httpx.Client, job: str) -> int:
    count: int = client.get(f"/v1/jobs/{job}").json()["progress"]["completed"]
    return count


def stops_in_time(server: Server, front: Front, asked: Paths, counts: tuple[int, int, int]) -> None:
    with crowd(server, front, asked, *counts):
        start = time.monotonic()
        assert server.stop(20) == 0
        took = time.monotonic() - start
    print(f"SIGTERM, and {took:.1f} s later it was over")
    assert took <= 10


def itself(server: Server) -> Front:
    return Front(server.port, lambda plain: plain, lambda: [server.processes().api], server.log)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough for so many sockets in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_few_slow_clients_keep_nobody_waiting(request: pytest.FixtureRequest) -> None:
    """In seconds; what a connection does has nothing to do with the kind of database."""
    starter = Starter(request)
    with contextlib.closing(starter):
        server = starter.start(
            "sqlite", workers=1, head_seconds=1, body_seconds=1, keep_alive_seconds=1, stream_stall_seconds=1
        )
        job, asked = endless(server), paths(server)
        come_and_go(server, itself(server), job, asked, FEW)


@pytest.mark.slow
@pytest.mark.usefixtures("descriptors")
def test_many_slow_clients_keep_nobody_waiting(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1)
    job, asked = endless(server), paths(server)
    come_and_go(server, itself(server), job, asked, (HEADS, BODIES, DEAF))
    stops_in_time(server, itself(server), asked, (HEADS, BODIES, DEAF))


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
@pytest.mark.usefixtures("descriptors")
def test_nor_do_they_behind_nginx(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(workers=1, allowed_host="localhost,127.0.0.1", trusted_proxy="127.0.0.1")
    job, asked = endless(server), paths(server)
    with contextlib.closing(Nginx(tmp_path / "nginx", server.port)) as nginx:
        context = ssl.create_default_context(cafile=str(nginx.pair.certificate))
        wrap = partial(context.wrap_socket, server_hostname="localhost")
        front = Front(nginx.port, wrap, nginx.processes, nginx.log)
        come_and_go(server, front, job, asked, (HEADS, BODIES, DEAF))
        stops_in_time(server, front, asked, (HEADS, BODIES, DEAF))
