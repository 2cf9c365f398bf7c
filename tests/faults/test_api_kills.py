"""The API is killed while clients create, and they ask again: all that was answered is there, and once."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app.datasets import content
from app.storage.blobs import Blobs
from app.storage.sweep import Sweep
from app.storage.tables import Architecture, IdempotencyKey
from tests.support.checker import check, settle
from tests.support.recorder import Recorder
from tests.support.server import Server, until
from tests.support.training import Json, made

pytestmark = pytest.mark.heavy

CLIENTS = 4
KILLS = int(os.environ.get("CHAINRULE_TEST_KILLS", "2"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(time.time_ns() % 2**32)))
PATIENCE = 60.0


class Told(NamedTuple):
    """An acknowledged creation: what was sent under which key, and the body of the answer."""

    path: str
    key: str
    sent: dict[str, Any]
    body: bytes


@dataclass
class Tally:
    """What the clients of one run have met."""

    told: list[Told] = field(default_factory=list)
    refused: int = 0
    torn: int = 0
    given_up: int = 0
    replayed: int = 0


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, lease_seconds=2, snapshot_seconds=0.1)


def rows(chance: random.Random) -> str:
    """A table like no other; one in eight is too large for a row of the database."""
    count = 20_000 if chance.random() < 0.125 else 30
    return "x,y\n" + "".join(f"{chance.random()},{chance.random()}\n" for _ in range(count))


def send(client: httpx.Client, path: str, key: str, sent: dict[str, Any]) -> httpx.Response:
    kind = {"Content-Type": "text/csv" if path == "/v1/datasets" else "application/json"}
    return client.post(path, **sent, headers={"Idempotency-Key": key, **kind})


def create(
    client: httpx.Client, tally: Tally, chance: random.Random, path: str, key: str, sent: dict[str, Any]
) -> Json | None:
    """Send until there is an answer; now and then give up after a failure, as clients do."""
    until_when = time.monotonic() + PATIENCE
    patient = chance.random() < 0.9
    while time.monotonic() < until_when:
        try:
            response = send(client, path, key, sent)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError):
                tally.refused += 1  # nobody is there
            else:
                tally.torn += 1  # somebody was
            if not patient:
                tally.given_up += 1
                return None
        else:
            if response.is_success:
                tally.told.append(Told(path, key, sent, response.content))
                tally.replayed += "idempotency-replayed" in response.headers
                return made(response, response.status_code)
            assert response.status_code in (409, 503), response.text  # in flight; going away
        time.sleep(chance.uniform(0.02, 0.2))
    raise TimeoutError(f"{path} was not answered for {PATIENCE} s")


def work(
    server: Server, recorder: Recorder, tally: Tally, over: threading.Event, number: int, seed: int
) -> None:
    """Upload and train, again and again, each under a name of its own."""
    chance = random.Random(seed)
    with recorder.client(server) as client:
        for turn in range(1_000_000):
            if over.is_set():
                return
            name = f"{seed} {number}.{turn}"
            upload = {"content": rows(chance), "params": {"name": name}}
            dataset = create(client, tally, chance, "/v1/datasets", f"d {name}", upload)
            if dataset is not None:
                body = {"dataset_id": dataset["id"], "target": "y", "name": name, "training": {"epochs": 2}}
                create(client, tally, chance, "/v1/jobs", f"j {name}", {"json": body})


def kills(server: Server, count: int) -> None:
    chance = random.Random(SEED)
    recorder, tally, over = Recorder(), Tally(), threading.Event()
    server.client()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [
            pool.submit(work, server, recorder, tally, over, each, chance.randrange(2**32))
            for each in range(CLIENTS)
        ]
        try:
            for _ in range(count):
                time.sleep(chance.uniform(0.05, 0.6))
                server.kill_api()
                server.restart()
        finally:
            over.set()
        for each in clients:
            each.result()
    print(
        f"seed {SEED}, {count} kills: {len(tally.told)} were told; {tally.torn} requests broke off, "
        f"{tally.refused} found nobody, {tally.given_up} were given up; {tally.replayed} came once more"
    )
    assert tally.torn > 0
    with recorder.client(server) as client:
        for told in tally.told:
            again = send(client, told.path, told.key, told.sent)
            assert (again.content, again.headers["idempotency-replayed"]) == (told.body, "true")
    settle(server, 120)
    _sweep(server)
    check(server, recorder, grace_seconds=0)
    _keys_and_objects_are_one_to_one(server, recorder)
    assert list((server.data_dir / "incoming").iterdir()) == []


def _sweep(server: Server) -> None:
    """What housekeeping does, at once."""
    with server.database() as database:
        sweep = Sweep(Blobs(database, server.data_dir / "blobs"))
        for _ in range(2):  # chunks go when they were seen without a name twice
            sweep.run(0)
        content.sweep(database, server.data_dir / "cache", server.data_dir / "incoming", 0)


def _keys_and_objects_are_one_to_one(server: Server, recorder: Recorder) -> None:
    """Also for keys whose answer nobody has heard: `check` looks at those of whom somebody has."""
    sent = {each.key for each in recorder.sent}
    with server.database() as database, database.reading() as session:
        kept = sa.select(IdempotencyKey.key, IdempotencyKey.location)
        objects = {key: location for key, location in session.execute(kept) if key in sent}
        assert len(set(objects.values())) == len(objects)
        for table in ("datasets", "jobs"):
            names = sa.text(f"SELECT name, '/v1/{table}/' || id FROM {table}")
            places = {f"{table[0]} {name}": place for name, place in session.execute(names)}
            ours = {key: place for key, place in objects.items() if key.startswith(f"{table[0]} ")}
            assert {key: place for key, place in places.items() if key in sent} == ours
    assert {key for _, key in recorder.made_by} <= objects.keys()


def test_an_answer_that_was_lost_comes_again(server: Server) -> None:
    key = f"lost {SEED}"
    body = b'{"name": "lost", "layers": []}'
    head = (
        "POST /v1/architectures HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.admin_key}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with server.database() as database:

        def there() -> list[str]:
            with database.reading() as session:
                named = sa.select(Architecture.id).where(Architecture.name == "lost")
                return list(session.scalars(named))

        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
            (made_once,) = until(there)
            server.kill_api()
        server.restart()
        again = send(server.client(), "/v1/architectures", key, {"content": body})
        assert made(again, 201)["id"] == made_once
        assert again.headers["idempotency-replayed"] == "true"
        assert there() == [made_once]


def test_a_killed_api_creates_all_that_it_answered_and_nothing_twice(server: Server) -> None:
    kills(server, KILLS)


@pytest.mark.slow
def test_many_kills_of_the_api(server: Server) -> None:
    kills(server, max(10, KILLS))
