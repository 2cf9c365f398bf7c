"""Many who watch: streams over crashes, clients that take nothing, caps, keys that go, answers by ETag."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import psutil
import pytest

from app.jobs import events
from app.jobs.events import Entry
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import LINE, Json, assert_gapless, finished, log_of, made, submit, train, upload

pytestmark = pytest.mark.heavy

STREAM = {"Accept": "text/event-stream"}
ENDLESS = {"epochs": 10_000_000, "early_stopping": None}


@pytest.fixture(scope="module")
def strict(new_server: Callable[..., Server]) -> Server:
    """A server that waits a second for its streams' clients, and has few places."""
    return new_server(workers=0, stream_stall_seconds=1, max_streams=6, max_streams_per_key=4)


def waiting(server: Server) -> Json:
    """A job that waits for ever."""
    client = server.client("write", "watching")
    return submit(client, dataset_id=upload(client, LINE)["id"], target="y")


@pytest.fixture(scope="module")
def job(strict: Server) -> Json:
    return waiting(strict)


def with_new_key(server: Server, role: str = "read") -> tuple[httpx.Client, str]:
    """A client with a key of its own, and the key's id."""
    key = made(
        server.client().post("/v1/keys", json={"name": "watcher", "role": role, "project": "watching"}), 201
    )
    return server.client_with({"Authorization": f"Bearer {key['secret']}"}), key["id"]


def opened(stack: ExitStack, client: httpx.Client, job: Json) -> Iterator[str]:
    """The lines of a stream that has begun; it is open for as long as they are kept."""
    answer = stack.enter_context(client.stream("GET", f"/v1/jobs/{job['id']}/events", headers=STREAM))
    assert answer.status_code == 200, answer.read()
    lines = answer.iter_lines()
    assert next(lines) == "retry: 1000"
    return lines


def connections(server: Server) -> set[int]:
    """The ports of those whose connections the API process has."""
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return {each.raddr.port for each in found if each.raddr and each.status == "ESTABLISHED"}


class Subscriber(threading.Thread):
    """Follows a job to its end, over whatever happens to its connections."""

    def __init__(self, client: httpx.Client, job: Json) -> None:
        super().__init__(daemon=True)
        self._client, self._path = client, f"/v1/jobs/{job['id']}/events"
        self.seen: list[Json] = []
        self.breaks = 0
        self.over = False

    def run(self) -> None:
        while not self.over:
            try:
                self._follow()
            except httpx.TransportError:
                self.breaks += 1
                time.sleep(0.05)

    def _follow(self) -> None:
        headers = {**STREAM, "Last-Event-ID": str(self.seen[-1]["seq"])} if self.seen else STREAM
        with self._client.stream("GET", self._path, headers=headers) as response:
            assert response.status_code == 200
            for line in response.iter_lines():
                if line == "event: end":
                    self.over = True
                elif line.startswith('data: {"object":"event"'):
                    self.seen.append(json.loads(line[6:]))


@pytest.mark.slow
def test_streams_go_on_over_a_kill_and_a_restart(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1, lease_seconds=2, snapshot_seconds=0.2)
    client = server.client()
    layers = {"layers": [{"units": 512}, {"units": 512}]}  # not too many epochs
    job = submit(
        client, dataset_id=upload(client, LINE)["id"], target="y", training=ENDLESS, architecture=layers
    )
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client_with(dict(client.headers))) for _ in range(5)]
        subscribers = [Subscriber(each, job) for each in clients]
        for each in subscribers:
            each.start()
        until(lambda: all(len(each.seen) >= 5 for each in subscribers), 30)
        server.kill_everything()
        server.restart()
        before = max(len(each.seen) for each in subscribers)
        until(lambda: all(len(each.seen) >= before + 3 for each in subscribers), 30)
        client.post(f"/v1/jobs/{job['id']}/cancel")
        assert finished(client, job["id"])["status"] == "cancelled"
        everything = log_of(client, job["id"])
        for each in subscribers:
            each.join(10)
            assert each.over
            assert each.breaks >= 1
            assert_gapless(each.seen)
            assert each.seen == everything


def test_a_client_that_takes_nothing_is_cut_off(strict: Server) -> None:
    (client, _), job = with_new_key(strict), waiting(strict)
    with strict.database() as database, database.writing() as session:
        events.append(session, job["id"], [Entry("job.warning", "x" * 100_000)] * 200)
    with client, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", strict.port))
        port = deaf.getsockname()[1]
        asked = (
            f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        )
        deaf.sendall(f"{asked}Authorization: {client.headers['authorization']}\r\n\r\n".encode())
        assert deaf.recv(15) == b"HTTP/1.1 200 OK"
        assert port in connections(strict)
        memory = psutil.Process(strict.process.pid).memory_info().rss
        start = time.monotonic()
        until(lambda: port not in connections(strict), 10)
        assert time.monotonic() - start < 8.0
        assert psutil.Process(strict.process.pid).memory_info().rss - memory < 32 * 2**20
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
    assert "Traceback" not in strict.log.read_text()


def test_streams_and_waits_have_their_number(strict: Server, job: Json) -> None:
    path = f"/v1/jobs/{job['id']}"
    wait: dict[str, int | str] = {"wait": 30, "wait_for": "terminal"}
    with ExitStack() as stack:
        one, other = (stack.enter_context(with_new_key(strict)[0]) for _ in range(2))
        first = stack.enter_context(ExitStack())
        held = [opened(first, one, job) for _ in range(4)]
        for refused in (
            one.get(f"{path}/events", headers=STREAM),
            one.get(f"{path}/events", params={"after": 1000, "wait": 30}),
            one.get(path, params=wait),
        ):
            assert_problem(refused, 429, "too_many_streams")
            assert int(refused.headers["retry-after"]) >= 1
        assert one.get(path).status_code == 200
        assert one.get(f"{path}/events", params={"wait": 30, "limit": 1}).status_code == 200
        held += [opened(stack, other, job) for _ in range(2)]
        assert_problem(other.get(path, params=wait), 429, "too_many_streams")
        first.close()
        until(lambda: one.get(path, params={"wait": 0.1}).status_code == 200, 5)


def test_streams_and_waits_end_with_their_key(strict: Server, job: Json) -> None:
    client, key = with_new_key(strict)
    waited: list[httpx.Response] = []
    with client, ExitStack() as stack:
        lines = opened(stack, client, job)
        asking = threading.Thread(
            target=lambda: waited.append(client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}))
        )
        asking.start()
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
        assert strict.client().delete(f"/v1/keys/{key}").status_code == 204
        start = time.monotonic()
        rest = list(lines)
        asking.join(10)
        assert time.monotonic() - start < 4.0
    assert "event: end" not in rest
    assert_problem(waited[0], 401)


def test_an_etag_saves_the_answer(strict: Server, job: Json) -> None:
    client, path = strict.client("write", "watching"), f"/v1/jobs/{job['id']}"
    first = client.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for query in ({}, {"wait": 0.01}):
            same = client.get(path, headers={"If-None-Match": known}, params=query)
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content
    renamed = client.patch(path, json={"name": str(time.time())})
    changed = client.get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.content) == (200, renamed.content)
    assert changed.headers["etag"] != etag


def test_a_foreign_job_is_none_also_where_it_is_kept(strict: Server, job: Json) -> None:
    path = f"/v1/jobs/{job['id']}"
    assert strict.client("write", "watching").get(path).status_code == 200
    foreign = strict.client("read", "elsewhere")
    for part, headers in (("", {}), ("?wait=1", {}), ("/events", {}), ("/events", STREAM)):
        assert_problem(foreign.get(f"{path}{part}", headers=headers), 404, "not_found", param="job_id")
    assert_problem(strict.client("predict", "watching").get(path), 403)
    assert_problem(foreign.get(f"/v1/jobs/{'x' * 65}"), 422, param="job_id")


def test_trainers_yield_to_the_api(server: Server) -> None:
    client = server.client("write", "watching")
    train(client, dataset_id=upload(client, LINE)["id"], target="y", training={"epochs": 1})
    api = server.processes().api.nice()
    until(lambda: {each.nice() - api for each in server.processes().trainers} == {10})


def test_who_goes_gives_the_place_back(strict: Server, job: Json) -> None:
    client, _ = with_new_key(strict)
    with client:
        for _ in range(5):  # one more than the key may have at once
            with ExitStack() as stack:
                lines = opened(stack, client, job)
            del lines
            with pytest.raises(httpx.ReadTimeout):
                client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}, timeout=0.05)
        query = {"wait": 0.01}
        until(lambda: client.get(f"/v1/jobs/{job['id']}", params=query).status_code == 200, 5)
