"""A graceful stop: streams end, workers hand their jobs back, and the next start goes on."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from app.storage.tables import Job
from tests.support.server import Server, alive, until
from tests.support.training import LINE, assert_whole, finished, history, log_of, submit, upload

pytestmark = pytest.mark.heavy

STREAMS = 20


def test_sigterm_ends_everything_within_ten_seconds(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1)
    client = server.client()
    data = upload(client, LINE)
    training = {"epochs": 10_000_000, "early_stopping": None}
    wide = {"layers": [{"units": 1024}, {"units": 1024}]}  # some epochs a second, and a large snapshot
    job = submit(client, dataset_id=data["id"], target="y", training=training, architecture=wide)
    until(lambda: history(client, job["id"]))
    api = psutil.Process(server.process.pid)
    everybody = [api, *api.children(recursive=True)]
    with ExitStack() as stack:
        path, accept = f"/v1/jobs/{job['id']}/events", {"Accept": "text/event-stream"}
        streams = [stack.enter_context(server.client_with(dict(client.headers))) for _ in range(STREAMS)]
        answers = [stack.enter_context(each.stream("GET", path, headers=accept)) for each in streams]
        lines = [answer.iter_lines() for answer in answers]
        assert all(next(each).startswith("retry") for each in lines)
        half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        half.sendall(
            b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: text/csv\r\nContent-Length: 1000\r\n"
            b"Authorization: " + client.headers["authorization"].encode() + b"\r\n\r\nx,y\n1,2\n"
        )
        start = time.monotonic()
        code = server.stop(15.0)
        took = time.monotonic() - start
    assert took <= 10.0
    assert code == 0
    until(lambda: not any(alive(each) for each in everybody), 1.0)
    with server.database() as database, database.reading() as session:
        left = session.get_one(Job, job["id"])
        assert (left.status, left.worker_id, left.crashes) == ("queued", None, 0)
        written = left.epochs_completed
    server.restart()
    more = {"after_epoch": written}
    until(lambda: client.get(f"/v1/jobs/{job['id']}/epochs", params=more).json()["data"], 20)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert_whole(client, finished(client, job["id"]))
    assert [each["type"] for each in log_of(client, job["id"])].count("job.recovered") == 1


def test_without_workers_jobs_wait(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=0)
    client = server.client()
    data = upload(client, LINE)
    job = submit(client, dataset_id=data["id"], target="y", training={"epochs": 1})
    assert (job["status"], job["queue_position"]) == ("queued", 1)
    assert client.get("/readyz").status_code == 200
    assert client.get("/readyz", params={"workers": 1}).status_code == 503
    server.another_worker()
    assert finished(client, job["id"])["status"] == "succeeded"
    assert client.get("/readyz", params={"workers": 1}).status_code == 200
    assert server.stop() == 0
