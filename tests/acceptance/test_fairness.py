"""A noisy project keeps others waiting for a place, and for no longer than that."""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

from app.jobs import events
from app.jobs.events import Entry
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import LINE, finished, made, submit, upload

pytestmark = pytest.mark.heavy

JOBS = int(os.environ.get("CHAINRULE_TEST_QUEUED", "20"))
STREAMS = int(os.environ.get("CHAINRULE_TEST_STREAMS", "300"))
STREAM = {"Accept": "text/event-stream"}
CSV = {"Content-Type": "text/csv"}
MOST_UPLOADS = 32
LONG = {"epochs": 3000, "early_stopping": None}

Query = dict[str, str | int]


def test_one_job_does_not_wait_for_those_of_another_project(server: Server) -> None:
    noisy, quiet = server.client("write", "fairness/noisy"), server.client("write", "fairness/quiet")
    mine = upload(quiet, LINE)["id"]
    body = {"dataset_id": upload(noisy, LINE)["id"], "target": "y", "training": LONG}
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: noisy.post("/v1/jobs", json=body), range(JOBS)):
            made(answer, 202)
    job = submit(quiet, dataset_id=mine, target="y", training={"epochs": 50})
    assert job["queue_position"] <= 2
    ended = finished(quiet, job["id"])
    theirs = made(noisy.get("/v1/jobs", params={"limit": 100, "order": "asc"}), 200)["data"]
    between = [
        each for each in theirs if job["created_at"] < (each["started_at"] or "") < ended["started_at"]
    ]
    assert len(between) <= 4  # two places that were just being filled, and a margin
    queued: Query = {"status": "queued", "limit": 100}
    assert made(noisy.get("/v1/jobs", params=queued), 200)["data"] != []
    while waiting := made(noisy.get("/v1/jobs", params=queued), 200)["data"]:
        for each in waiting:
            noisy.post(f"/v1/jobs/{each['id']}/cancel")


@pytest.mark.slow
def test_streams_that_nobody_reads_cost_another_key_nothing(server: Server) -> None:
    client = server.client("write", "fairness/streams")
    made(server.client().patch("/v1/projects/fairness/streams", json={"max_running": 0}), 200)
    job = submit(client, dataset_id=upload(client, LINE)["id"], target="y")["id"]  # its streams do not end
    with server.database() as database, database.writing() as session:
        events.append(session, job, [Entry("job.warning", "x" * 100_000)] * 3)
    body = {"name": "deaf", "role": "read", "project": "fairness/streams"}
    secret = made(server.client().post("/v1/keys", json=body), 201)["secret"]
    ask = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
    message = f"{ask}Authorization: Bearer {secret}\r\n\r\n".encode()
    took: list[float] = []

    def poll() -> None:
        start = time.monotonic()
        made(client.get(f"/v1/jobs/{job}"), 200)
        took.append(time.monotonic() - start)

    with ExitStack() as stack:
        for index in range(STREAMS):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(message)
            if index % 10 == 0:
                poll()
        greedy = stack.enter_context(server.client_with({"Authorization": f"Bearer {secret}"}))
        refused = greedy.get(f"/v1/jobs/{job}/events", headers=STREAM)
        assert_problem(refused, 429, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        assert greedy.get(f"/v1/jobs/{job}").status_code == 200
        with client.stream("GET", f"/v1/jobs/{job}/events", headers=STREAM) as answer:
            assert answer.status_code == 200  # there are places for others
        for _ in range(20):
            poll()
    assert sorted(took)[len(took) * 9 // 10] < 0.5
    assert max(took) < 3.0  # all of them are cut off at once, or began at once


def slow_file() -> str:
    """It takes a second or more to read."""
    values = np.random.default_rng(0).normal(size=(60_000, 20)).tolist()
    header = ",".join(f"x{index}" for index in range(20))
    return header + "\n" + "\n".join(",".join(map(repr, row)) for row in values)


@pytest.mark.slow
def test_one_upload_does_not_wait_for_those_of_another_project(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=0, max_parses=2)
    noisy, quiet = server.client("write", "noisy"), server.client("write", "quiet")
    content, ends = slow_file(), []

    def send(_: int) -> httpx.Response:
        answer = noisy.post("/v1/datasets", content=content, headers=CSV)
        ends.append(time.monotonic())
        return answer

    with ThreadPoolExecutor(6) as pool:
        under_way = [pool.submit(send, index) for index in range(6)]
        until(lambda: ends, 60)
        done = len(ends)
        upload(quiet, LINE)
        assert len(ends) - done <= 2  # of five that wait
        for each in under_way:
            made(each.result(), 201)


def test_uploads_under_way_are_counted_by_project(server: Server) -> None:
    noisy, quiet = server.client("write", "fairness/uploads"), server.client("write", "fairness/quiet")
    head = "POST /v1/datasets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\nContent-Length: 99\r\n"
    message = f"{head}Authorization: {noisy.headers['authorization']}\r\n\r\nx,y\n".encode()
    with ExitStack() as stack:

        def half() -> None:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(message)

        def refused() -> httpx.Response | None:
            half()  # one of those before may have been answered with 503, by a database that was slow
            answer = noisy.post("/v1/datasets", content=LINE, headers=CSV)
            return answer if answer.status_code == 429 else None

        for _ in range(MOST_UPLOADS):
            half()
        one_too_many = until(refused, 10)
        assert_problem(one_too_many, 429, "too_many_uploads")
        assert int(one_too_many.headers["retry-after"]) > 0
        upload(quiet, LINE)
    until(lambda: noisy.post("/v1/datasets", content=LINE, headers=CSV).status_code == 201, 10)
