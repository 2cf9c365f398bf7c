"""Following a job: ?wait=, events as a long poll and as a stream."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import (
    LINE,
    Json,
    assert_gapless,
    finished,
    log_of,
    made,
    started,
    submit,
    train,
    upload,
)

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "following")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> Json:
    return upload(client, LINE)


def forever(client: httpx.Client, dataset: Json) -> Json:
    training = {"epochs": 10_000_000, "early_stopping": None}
    return submit(client, dataset_id=dataset["id"], target="y", training=training)


def cancelled(client: httpx.Client, job: Json) -> Json:
    client.post(f"/v1/jobs/{job['id']}/cancel")
    return finished(client, job["id"])


def stream(lines: Iterator[str]) -> Iterator[Json]:
    """Server-sent events as the standard reads them; comments and ``retry`` are dropped."""
    event: Json = {}
    for line in lines:
        if not line:
            if event:
                yield event
            event = {}
        elif not line.startswith((":", "retry: ")):
            name, _, value = line.partition(": ")
            assert name in ("id", "event", "data"), line
            assert name not in event
            event[name] = value


def test_wait_answers_when_the_status_changes(client: httpx.Client, dataset: Json) -> None:
    job = forever(client, dataset)
    started(client, job["id"])
    start = time.monotonic()
    same = made(client.get(f"/v1/jobs/{job['id']}", params={"wait": 0.3}), 200)
    assert same["status"] == "running"
    assert 0.3 <= time.monotonic() - start < 2.0
    cancelled(client, job)
    start = time.monotonic()
    over = made(client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}), 200)
    assert over["status"] == "cancelled"
    assert time.monotonic() - start < 1.0


@pytest.mark.parametrize("wait", ["-1", "1e9", "nan", "soon", "inf"])
def test_a_wait_that_is_none_is_refused(client: httpx.Client, dataset: Json, wait: str) -> None:
    job = train(client, dataset_id=dataset["id"], target="y", training={"epochs": 1})
    for path in (f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/events"):
        assert_problem(client.get(path, params={"wait": wait}), 422, param="wait")


def test_long_polls_see_every_event_once(client: httpx.Client, dataset: Json) -> None:
    job = forever(client, dataset)
    seen: list[Json] = []
    while len(seen) < 6:
        query = {"after": len(seen), "wait": 10, "limit": 2}
        page = made(client.get(f"/v1/jobs/{job['id']}/events", params=query), 200)
        assert 1 <= len(page["data"]) <= 2
        assert (page["first_id"], page["last_id"]) == (len(seen) + 1, len(seen) + len(page["data"]))
        seen += page["data"]
    assert_gapless(seen)
    cancelled(client, job)
    everything = log_of(client, job["id"])
    assert everything[: len(seen)] == seen
    start = time.monotonic()
    rest = {"after": len(everything), "wait": 30}
    assert made(client.get(f"/v1/jobs/{job['id']}/events", params=rest), 200)["data"] == []
    assert time.monotonic() - start < 1.0


def test_a_stream_is_live_gapless_and_ends(client: httpx.Client, dataset: Json) -> None:
    job = forever(client, dataset)
    seen: list[Json] = []
    with client.stream("GET", f"/v1/jobs/{job['id']}/events", headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for event in stream(response.iter_lines()):
            seen.append(event)
            if len(seen) == 5:
                client.post(f"/v1/jobs/{job['id']}/cancel")
    assert seen[-1]["event"] == "end"
    told = [json.loads(each["data"]) for each in seen[:-1]]
    assert told == log_of(client, job["id"])
    assert_gapless(told)
    for each, sent in zip(told, seen, strict=False):
        assert (sent["id"], sent["event"]) == (str(each["seq"]), each["type"])
    assert told[-1]["type"] == "job.cancelled"


def test_a_stream_resumes_where_it_broke(client: httpx.Client, dataset: Json) -> None:
    job = forever(client, dataset)
    path = f"/v1/jobs/{job['id']}/events"
    seen: list[int] = []
    for _ in range(3):
        headers = {**STREAM, "Last-Event-ID": str(seen[-1])} if seen else STREAM
        with client.stream("GET", path, headers=headers) as response:
            for count, event in enumerate(stream(response.iter_lines()), 1):
                seen.append(int(event["id"]))
                if count == 2:
                    break
    assert seen == [1, 2, 3, 4, 5, 6]
    cancelled(client, job)
    with client.stream("GET", path, headers={**STREAM, "Last-Event-ID": "6"}) as response:
        rest = list(stream(response.iter_lines()))
    assert [int(each["id"]) for each in rest[:-1]] == list(range(7, len(log_of(client, job["id"])) + 1))
    assert rest[-1]["event"] == "end"


@pytest.mark.parametrize("last", ["", "x", "-1", "²", "9" * 5000])
def test_a_nonsensical_last_event_id_harms_nobody(client: httpx.Client, dataset: Json, last: str) -> None:
    job = train(client, dataset_id=dataset["id"], target="y", training={"epochs": 1})
    headers = [("Accept", "text/event-stream"), ("Last-Event-ID", last.encode("utf-8"))]
    response = client.get(f"/v1/jobs/{job['id']}/events", headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 200
    assert "event: end" in response.text


def test_a_stream_ends_when_its_job_is_deleted(client: httpx.Client, dataset: Json) -> None:
    job = cancelled(client, forever(client, dataset))
    path = f"/v1/jobs/{job['id']}"
    assert client.delete(path).status_code == 204
    assert_problem(client.get(f"{path}/events", headers=STREAM), 404)
