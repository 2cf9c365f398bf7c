"""Webhooks of a real server to a real receiver: signed, in order, and at least once whatever dies."""

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.support.problems import assert_problem
from tests.support.receiver import Arrived, Receiver
from tests.support.server import Server, kill, until
from tests.support.training import LINE, Json, finished, log_of, made, submit, upload

QUICK = {"epochs": 3, "early_stopping": None, "batch_size": "full"}


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, webhooks=True, webhook_private=True, webhook_retry_seconds=0.002)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as receiver:
        yield receiver


@pytest.fixture
def client(server: Server, request: pytest.FixtureRequest) -> httpx.Client:
    return server.client("write", request.node.name)


def hook(client: httpx.Client, receiver: Receiver, **more: object) -> Json:
    return made(client.post("/v1/webhooks", json={"url": receiver.url + "/hook?x=1", **more}), 201)


def trained(client: httpx.Client) -> Json:
    data = upload(client, LINE)
    return finished(client, submit(client, dataset_id=data["id"], target="y", training=QUICK)["id"])


def expected(client: httpx.Client, job: Json) -> list[int]:
    quiet = ("job.epoch", "job.checkpoint")
    return [each["seq"] for each in log_of(client, job["id"]) if each["type"] not in quiet]


def sender_of(server: Server) -> psutil.Process:
    children = psutil.Process(server.process.pid).children()
    return next(each for each in children if "app.webhooks" in each.cmdline())


def test_every_event_comes_signed_and_in_order(client: httpx.Client, receiver: Receiver) -> None:
    made_hook = hook(client, receiver, name="here")
    job = trained(client)
    until(lambda: receiver.of(job["id"]) == expected(client, job), 10)
    log = {each["seq"]: each for each in log_of(client, job["id"])}
    for each in receiver.arrived:
        assert each.is_signed_with(made_hook["secret"])
        assert not each.is_signed_with("whsec_" + "A" * 43 + "=")
        assert each.event == log[each.event["seq"]]
        assert each.headers["webhook-id"] == each.event["id"]
        assert each.headers["content-type"] == "application/json"
        assert each.headers["host"] == receiver.url.removeprefix("http://")

    def nothing_waits() -> Json | None:  # a message has come before its sender notes that
        read: Json = made(client.get(f"/v1/webhooks/{made_hook['id']}"), 200)
        return read if read["waiting"] == 0 else None

    seen = until(nothing_waits, 5)
    assert "secret" not in seen
    assert (seen["enabled"], seen["last_error"]) == (True, None)


def test_what_fails_is_sent_again_and_the_rest_waits_for_it(client: httpx.Client, receiver: Receiver) -> None:
    answers = iter([500, 302, 503, 200])
    receiver.answer = lambda _: next(answers, 204)
    hook(client, receiver)
    job = trained(client)
    wanted = expected(client, job)
    until(lambda: receiver.of(job["id"])[-1:] == wanted[-1:], 15)
    assert receiver.of(job["id"]) == [1, 1, 1, *wanted]
    assert len({each.headers["webhook-id"] for each in receiver.arrived}) == len(wanted)


def test_one_that_never_answers_delays_no_other(client: httpx.Client, receiver: Receiver) -> None:
    over = time.monotonic() + 4

    def wait(_: Arrived) -> int:
        time.sleep(max(0.0, over - time.monotonic()))
        return 204

    with Receiver().running() as stuck:
        stuck.answer = wait
        hook(client, stuck)
        hook(client, receiver)
        job = trained(client)
        until(lambda: receiver.of(job["id"]) == expected(client, job), 3.5)
        assert len(stuck.arrived) == 1


def test_a_sender_that_is_killed_repeats_at_most_what_was_on_its_way(
    server: Server, client: httpx.Client, receiver: Receiver
) -> None:
    first: list[Arrived] = []
    died = threading.Event()

    def die_once(message: Arrived) -> int:
        if not first:
            first.append(message)
            kill(sender_of(server))
            died.set()
        return 204

    receiver.answer = die_once
    hook(client, receiver)
    job = trained(client)
    wanted = expected(client, job)
    assert died.wait(15)
    # The cursor that it held is free again after half a minute; nobody waits for that here.
    with server.database() as database, database.writing() as session:
        session.connection().exec_driver_sql("UPDATE webhook_cursors SET next_attempt_at = 0")
    until(lambda: receiver.of(job["id"]) == [1, *wanted], 15)
    assert receiver.arrived[0].headers["webhook-id"] == receiver.arrived[1].headers["webhook-id"]


def test_gone_stops_it_and_it_can_go_on(client: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    path = f"/v1/webhooks/{hook(client, receiver)['id']}"
    job = trained(client)
    stopped = until(lambda: (seen := made(client.get(path), 200))["enabled"] is False and seen, 10)
    assert "410" in stopped["disabled_because"]
    assert stopped["waiting"] == 1
    receiver.answer = lambda _: 200
    assert made(client.patch(path, json={"enabled": True}), 200)["disabled_because"] is None
    until(lambda: receiver.of(job["id"]) == [1, *expected(client, job)], 10)


def test_types_url_and_end_can_be_changed(client: httpx.Client, receiver: Receiver) -> None:
    made_hook = hook(client, receiver, types=["job.succeeded"], metadata={"a": "b"})
    path = f"/v1/webhooks/{made_hook['id']}"
    job = trained(client)
    until(lambda: len(receiver.arrived) == 1, 10)
    assert receiver.arrived[0].event["type"] == "job.succeeded"
    changed = made(client.patch(path, json={"types": ["job.queued"], "name": "there"}), 200)
    assert (changed["types"], changed["name"]) == (["job.queued"], "there")
    assert [each["id"] for each in made(client.get("/v1/webhooks"), 200)["data"]] == [made_hook["id"]]
    assert client.delete(path).status_code == 204
    assert_problem(client.get(path), 404)
    trained(client)
    assert receiver.of(job["id"]) == [job_end(client, job)]
    assert len(receiver.arrived) == 1


def job_end(client: httpx.Client, job: Json) -> int:
    last: int = log_of(client, job["id"])[-1]["seq"]
    return last


def test_another_projects_webhook_is_unknown(
    server: Server, client: httpx.Client, receiver: Receiver
) -> None:
    path = f"/v1/webhooks/{hook(client, receiver)['id']}"
    stranger = server.client("write", "a stranger to webhooks")
    for method in ("GET", "PATCH", "DELETE"):
        assert_problem(stranger.request(method, path, json={} if method == "PATCH" else None), 404)


def test_a_replay_shows_no_secret(client: httpx.Client, receiver: Receiver) -> None:
    body, key = {"url": receiver.url}, {"Idempotency-Key": "once"}
    first = made(client.post("/v1/webhooks", json=body, headers=key), 201)
    again = made(client.post("/v1/webhooks", json=body, headers=key), 201)
    assert again == {**first, "secret": None}
    assert len(made(client.get("/v1/webhooks"), 200)["data"]) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://user:word@example.com"}, "url"),
        ({"url": "https://example.com", "types": []}, "types"),
        ({"url": "https://example.com", "types": ["job.finished"]}, "types[0]"),
        ({"url": "https://example.com", "events": ["job.failed"]}, "events"),
        ({}, "url"),
    ],
)
def test_a_webhook_that_is_none_is_refused(server: Server, body: Json, param: str) -> None:
    assert_problem(server.client().post("/v1/webhooks", json=body), 422, param=param)
