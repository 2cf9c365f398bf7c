"""Idempotency-Key: a request that is sent again, for want of an answer, creates nothing more."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from app.storage.tables import IdempotencyKey
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import LINE, Json, made, upload

Sent = dict[str, Any]


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("admin", "sends again")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> str:
    identity: str = upload(client, LINE)["id"]
    return identity


@pytest.fixture
def key() -> str:
    return str(uuid4())


def bodies(dataset: str) -> dict[str, tuple[Sent, Sent]]:
    """For each path what to send, and something else."""
    job = {"dataset_id": dataset, "target": "y", "training": {"epochs": 1}}
    split = {"dataset_id": dataset, "target": "y"}
    form = {
        "files": {"file": ("line.csv", LINE)},
        "data": {"name": "line", "columns": '{"x": {"type": "number"}}'},
    }
    return {
        "/v1/datasets": (form, {**form, "data": {"name": "other"}}),
        "/v1/architectures": (
            {"json": {"layers": [{"units": 3}], "name": "a"}},
            {"json": {"layers": [{"units": 4}], "name": "a"}},
        ),
        "/v1/uploads": ({"json": {"size_bytes": 5}}, {"json": {"size_bytes": 6}}),
        "/v1/jobs": ({"json": job}, {"json": job | {"priority": 1}}),
        "/v1/splits": ({"json": split}, {"json": split | {"seed": 1}}),
        "/v1/cross-validations": ({"json": job | {"folds": 2}}, {"json": job | {"folds": 3}}),
        "/v1/keys": ({"json": {"name": "r", "role": "read"}}, {"json": {"name": "r", "role": "write"}}),
    }


PATHS = list(bodies(""))
LATER = ("/v1/jobs", "/v1/cross-validations")


def post(client: httpx.Client, path: str, key: str, sent: Sent, **headers: str) -> httpx.Response:
    return client.post(path, **sent, headers={"Idempotency-Key": key, **headers})


def listed(client: httpx.Client, path: str) -> list[Json]:
    page: list[Json] = made(client.get(path, params={} if path == "/v1/keys" else {"limit": 100}), 200)[
        "data"
    ]
    return page


@pytest.mark.parametrize("path", PATHS)
def test_the_same_request_gets_the_first_answer(
    client: httpx.Client, dataset: str, key: str, path: str
) -> None:
    sent, other = bodies(dataset)[path]
    first = post(client, path, key, sent)
    before = len(listed(client, path))
    again = post(client, path, key, sent)
    assert again.status_code == first.status_code == (202 if path in LATER else 201), first.text
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    if path == "/v1/keys":
        assert again.json() == first.json() | {"secret": None}
    else:
        assert again.content == first.content
    assert_problem(post(client, path, key, other), 422, "idempotency_key_reused", "Idempotency-Key")
    assert len(listed(client, path)) == before


@pytest.mark.parametrize("path", PATHS)
def test_many_at_once_make_one(client: httpx.Client, dataset: str, key: str, path: str) -> None:
    sent, _ = bodies(dataset)[path]
    before = {each["id"] for each in listed(client, path)}
    start = threading.Barrier(6)

    def send(_: int) -> httpx.Response:
        start.wait(5)
        return post(client, path, key, sent)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    good = [each for each in answers if each.is_success]
    (location,) = {each.headers["location"] for each in good}
    assert [each for each in good if "idempotency-replayed" not in each.headers][1:] == []
    for each in answers:
        if each not in good:
            assert_problem(each, 409, "request_in_flight")
            assert each.headers["retry-after"] == "1"
    (new,) = {each["id"] for each in listed(client, path)} - before
    assert location == f"{path}/{new}"


def test_another_project_and_another_path_know_nothing_of_the_key(
    server: Server, client: httpx.Client, key: str
) -> None:
    sent, other = bodies("")["/v1/architectures"]
    first = made(post(client, "/v1/architectures", key, sent), 201)
    stranger = server.client("write", "sends it too")
    theirs = post(stranger, "/v1/architectures", key, other)
    assert made(theirs, 201)["id"] != first["id"]
    assert "idempotency-replayed" not in theirs.headers
    assert_problem(stranger.get(f"/v1/architectures/{first['id']}"), 404)
    made(post(client, "/v1/keys", key, {"json": {"name": "r", "role": "read"}}), 201)


def test_order_space_and_boundary_do_not_matter(client: httpx.Client, dataset: str, key: str) -> None:
    kind = {"Content-Type": "application/json"}
    texts = (
        '{"layers": [{"units": 3, "dropout": 0}], "metadata": {"a": "1", "b": "2"}}',
        '{"metadata":{"b":"2","a":"1"},"layers":[{"dropout":0.0,"units":3}]}',
    )
    first, again = (post(client, "/v1/architectures", key, {"content": each}, **kind) for each in texts)
    assert first.content == again.content
    sent, _ = bodies(dataset)["/v1/datasets"]
    made(post(client, "/v1/datasets", key, sent), 201)
    raw = {"content": LINE, "params": {"name": "line"}}
    assert_problem(
        post(client, "/v1/datasets", key, raw, **{"Content-Type": "text/csv"}), 422, "idempotency_key_reused"
    )  # its columns were not corrected
    changed = {**sent, "files": {"file": ("line.csv", LINE.replace("0.1", "0.15"))}}
    assert_problem(post(client, "/v1/datasets", key, changed), 422, "idempotency_key_reused")


def test_what_was_refused_leaves_the_key_free(client: httpx.Client, dataset: str, key: str) -> None:
    sent, _ = bodies(dataset)["/v1/jobs"]
    nothing = {"json": sent["json"] | {"dataset_id": "ds_none"}}
    assert_problem(post(client, "/v1/jobs", key, nothing), 404)
    assert_problem(post(client, "/v1/jobs", key, {"json": {"target": 5}}), 422)
    answered = post(client, "/v1/jobs", key, sent)
    assert "idempotency-replayed" not in answered.headers
    made(answered, 202)


def test_what_is_deleted_since_is_still_the_answer(client: httpx.Client, key: str) -> None:
    sent, _ = bodies("")["/v1/architectures"]
    first = post(client, "/v1/architectures", key, sent)
    assert client.delete(first.headers["location"]).status_code == 204
    assert post(client, "/v1/architectures", key, sent).content == first.content
    assert_problem(client.get(first.headers["location"]), 404)


def test_a_key_lasts_a_day(server: Server, client: httpx.Client, key: str) -> None:
    sent, other = bodies("")["/v1/architectures"]
    first = post(client, "/v1/architectures", key, sent)
    with server.database() as database, database.writing() as session:
        ours = sa.update(IdempotencyKey).where(IdempotencyKey.key == key)
        session.execute(ours.values(kept_until=IdempotencyKey.kept_until - 24 * 3600))
    later = post(client, "/v1/architectures", key, other)
    assert later.headers["location"] != first.headers["location"]
    assert post(client, "/v1/architectures", key, other).headers["location"] == later.headers["location"]


@pytest.mark.parametrize("bad", [b"", b"x" * 256, "ключ".encode(), b"a\tb", b"\xe9"])
def test_a_bad_key_is_refused(client: httpx.Client, bad: bytes) -> None:
    response = client.post("/v1/architectures", json={"layers": []}, headers=[(b"Idempotency-Key", bad)])
    assert_problem(response, 422, param="Idempotency-Key")


def test_two_keys_are_refused(client: httpx.Client) -> None:
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert_problem(
        client.post("/v1/architectures", json={"layers": []}, headers=twice), 422, param="Idempotency-Key"
    )


def test_the_longest_key_is_taken(client: httpx.Client) -> None:
    sent, _ = bodies("")["/v1/architectures"]
    key = "~ !" * 85
    assert (
        post(client, "/v1/architectures", key, sent).content
        == post(client, "/v1/architectures", key, sent).content
    )


def test_a_key_that_is_in_flight_is_told_so(server: Server, client: httpx.Client, key: str) -> None:
    go_on = threading.Event()
    incoming = server.data_dir / "incoming"

    def slowly() -> Iterator[bytes]:
        yield LINE[:10].encode()
        assert go_on.wait(10)
        yield LINE[10:].encode()

    def send(content: Any) -> httpx.Response:
        return post(client, "/v1/datasets", key, {"content": content}, **{"Content-Type": "text/csv"})

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, slowly())
        until(lambda: any(incoming.iterdir()))
        early = send(LINE)
        go_on.set()
    assert_problem(early, 409, "request_in_flight")
    assert send(LINE).content == first.result().content
