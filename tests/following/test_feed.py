"""Everybody is told every event once, by one read per change."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from app import logs
from app.following import channels, feed
from app.following.channels import Channel, Frame, Seen
from app.following.stream import END, OLD, PING, RETRY, EventStream
from app.jobs import events, service
from app.jobs.events import Entry
from app.keys import service as keys
from app.keys.service import Principal
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Job
from tests.following.conftest import Counted, Play, until
from tests.support.rows import add_job, principal


def tell(database: Database, job_id: str, count: int = 1, size: int = 1, **values: object) -> None:
    with database.writing() as session:
        if values:
            session.execute(sa.update(Job).where(Job.id == job_id).values(values))
        events.append(session, job_id, [Entry("job.warning", "x" * size)] * count)
        database.announce(session)


@pytest.fixture
def reader(database: Database) -> Principal:
    """One whose key is there: streams without one end."""
    with database.writing() as session:
        key, _ = keys.create(session, name="reader", role="read")
        return Principal(key.id, key.project_id, key.role)


class Client:
    """The far end of a stream; it can go, and it can stop taking anything."""

    def __init__(self, following: Counted, reader: Principal, job_id: str, after: int = 0) -> None:
        self.received: list[bytes] = []
        self.gone = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self.closed = False
        scope = {"type": "http", "state": {"abort": self.abort}}
        stream = EventStream(following, reader, job_id, after)
        self.task = asyncio.create_task(stream(scope, self.receive, self.send))

    def abort(self) -> None:
        self.gone.set()
        self.taking.set()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: object) -> None:
        assert isinstance(message, dict)
        await self.taking.wait()
        self.received.append(message.get("body", b""))
        self.closed = message["type"] == "http.response.body" and not message.get("more_body", False)

    @property
    def seen(self) -> list[int]:
        lines = b"".join(self.received).split(b"\n")
        return [int(line[4:]) for line in lines if line.startswith(b"id: ")]

    async def has(self, count: int) -> None:
        await until(lambda: len(self.seen) >= count)


def test_what_reads_for_everybody_logs_for_no_request(
    database: Database, play: Play, reader: Principal
) -> None:
    async def scene(following: Counted) -> None:
        logs.KNOWN.set({"request_id": "of the first"})
        await following.records.get(reader, job_id)
        client = Client(following, reader, job_id)
        await client.has(1)
        await until(lambda: "standing" in following.known)
        assert {name: following.known[name] for name in ("_read", "_look", "standing")} == {
            "_read": {},
            "_look": {},
            "standing": {},
        }

    job_id = add_job(database)
    play(scene)


def test_a_hundred_streams_cost_one_read_per_change(
    database: Database, play: Play, reader: Principal
) -> None:
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        clients = [Client(following, reader, job_id) for _ in range(100)]
        for each in clients:
            await each.has(1)
        for number in range(2, 7):
            tell(database, job_id)
            for each in clients:
                await each.has(number)
        looks = following.ran.count("_look")
        assert 5 <= looks <= 20
        assert following.ran.count("_read") <= 1
        assert [each.seen for each in clients] == [[1, 2, 3, 4, 5, 6]] * 100
        assert len({b"".join(each.received) for each in clients}) == 1
        tell(database, job_id, status="succeeded")
        for each in clients:
            await each.task
            assert each.seen == [1, 2, 3, 4, 5, 6, 7]
            assert b"".join(each.received).endswith(END)
            assert each.closed

    play(scene)


def test_a_stream_has_a_greatest_age(database: Database, play: Play, reader: Principal) -> None:
    """It ends in good order and with a word, and its client goes on where it was."""
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        following.stream_seconds = 0.5
        client = Client(following, reader, job_id)
        await client.has(1)
        tell(database, job_id)
        await client.has(2)
        await asyncio.wait_for(client.task, 5.0)
        assert client.closed
        assert client.received[-2:] == [OLD, b""]
        assert END not in client.received
        again = Client(following, reader, job_id, 2)
        tell(database, job_id)
        await again.has(1)
        assert again.seen == [3]

    play(scene)


def test_one_who_is_far_behind_misses_nothing(
    database: Database, play: Play, reader: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RING_BYTES", 20_000)
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        slow, quick = Client(following, reader, job_id), Client(following, reader, job_id)
        await slow.has(1)
        slow.taking.clear()
        for _ in range(5):
            tell(database, job_id, 60, 100)
        await quick.has(301)
        assert following.feed._channels[job_id].since(1, 100) is None
        slow.taking.set()
        await slow.has(301)
        late = Client(following, reader, job_id, after=150)
        await late.has(151)
        tell(database, job_id, status="failed")
        await asyncio.gather(slow.task, quick.task, late.task)
        assert slow.seen == quick.seen == list(range(1, 303))
        assert late.seen == list(range(151, 303))

    play(scene)


def test_those_who_begin_one_after_another_read_a_long_history_once(
    database: Database, play: Play, reader: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RING_BYTES", 20_000)
    monkeypatch.setattr(feed, "KEPT_PAGES", 3)
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        for _ in range(3):
            tell(database, job_id, 110, 100)
        first = Client(following, reader, job_id)
        await first.has(331)
        reads = following.ran.count("_read")
        assert reads >= 2
        for _ in range(5):
            later = Client(following, reader, job_id)
            await later.has(331)
            assert later.seen == list(range(1, 332))
        assert following.ran.count("_read") <= reads + 1  # a page that is not full is not kept
        assert len(following.feed._pages) <= 3

    play(scene)


def test_a_ring_keeps_the_newest_within_its_size() -> None:
    def seen(numbers: Sequence[int]) -> Seen:
        return Seen("job", "running", numbers[-1], [Frame(n, b"x" * 100, 0) for n in numbers])

    channel = Channel("job")
    assert channel.since(0, 10) == []
    channel.take(seen([5, 6, 7]), 250)
    assert [each.seq for each in channel.since(5, 10) or ()] == [6, 7]
    assert channel.since(4, 10) is None
    assert channel.since(7, 10) == channel.since(99, 10) == []
    channel.take(seen(range(8, 20)), 250)
    assert [each.seq for each in channel.since(17, 10) or ()] == [18, 19]
    assert [each.seq for each in channel.since(17, 1) or ()] == [18]
    assert not channel.over(19)


def test_a_stream_ends_when_its_job_is_deleted(
    database: Database, blobs: Blobs, play: Play, reader: Principal
) -> None:
    job_id = add_job(database)
    owner = principal(database)

    async def scene(following: Counted) -> None:
        client = Client(following, reader, job_id, after=10)  # beyond what there is: nothing comes
        await until(lambda: client.received)
        with database.writing() as session:
            ended = {"status": "cancelled", "event_count": 20, "finished_at": now()}
            session.execute(sa.update(Job).where(Job.id == job_id).values(ended))
            service.delete(session, blobs, owner, job_id)
        await client.task
        assert client.seen == []
        assert b"".join(client.received).endswith(END)

    play(scene)


def test_a_stream_ends_with_its_key(database: Database, play: Play, reader: Principal) -> None:
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        client = Client(following, reader, job_id)
        await client.has(1)
        with database.writing() as session:
            keys.revoke(session, reader.key_id)
        await asyncio.wait_for(client.task, 4.0)
        assert client.closed
        assert END not in client.received

    play(scene)


def test_silence_is_pinged(
    database: Database, play: Play, reader: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PING_SECONDS", 0.5)
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        client = Client(following, reader, job_id)
        await until(lambda: client.received.count(PING) >= 2)
        assert client.received[1] == RETRY
        client.gone.set()
        await client.task
        assert following.feed._channels[job_id].followers == set()

    play(scene)


def test_who_takes_nothing_is_cut_off(
    database: Database, play: Play, reader: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        monkeypatch.setattr(following.feed, "_stall_seconds", 0.5)
        client, other = Client(following, reader, job_id), Client(following, reader, job_id)
        await client.has(1)
        client.taking.clear()
        tell(database, job_id)
        await asyncio.wait_for(client.task, 5.0)
        assert client.gone.is_set()
        await other.has(2)
        assert not other.gone.is_set()

    play(scene)


def test_a_page_is_as_new_as_its_job(database: Database, play: Play, reader: Principal) -> None:
    """Also when a stream beside it has the job's events in memory."""
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        stream = Client(following, reader, job_id)
        await stream.has(1)
        for number in range(2, 30):
            tell(database, job_id)
            page = await following.events(reader, job_id, 0, 100, 0.0, stream.receive)
            assert [each.seq for each in page.frames] == list(range(1, number + 1))
            assert json.loads(page.frames[-1].json)["seq"] == number
            rest = await following.events(reader, job_id, number - 1, 100, 0.0, stream.receive)
            assert [each.seq for each in rest.frames] == [number]
        assert not page.over

    play(scene)


def test_frames_are_one_line_of_json_whatever_is_in_them(database: Database) -> None:
    job_id = add_job(database)
    with database.writing() as session:
        events.append(session, job_id, [Entry("job.warning", "a\nb\r\nc\u2028", {"x": "\n\n"})])
        found = events.after(session, job_id, 1, 1)
    framed = channels.frame(found[0])
    assert framed.content.endswith(b"\n\n")
    assert framed.content.count(b"\n") == 4
    assert b"\r" not in framed.content
    assert json.loads(framed.json)["message"] == "a\nb\r\nc\u2028"


@pytest.mark.parametrize("seconds", [0.0004, 0.0037])
def test_a_wait_ends_in_time(database: Database, play: Play, reader: Principal, seconds: float) -> None:
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        silent = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await silent.wait()
            return {}

        for _ in range(20):
            await asyncio.wait_for(following.changed(reader, job_id, True, seconds, receive), 5.0)
            await asyncio.wait_for(following.events(reader, job_id, 9, 1, seconds, receive), 5.0)

    play(scene)


def test_a_wait_ends_when_its_client_goes(database: Database, play: Play, reader: Principal) -> None:
    job_id = add_job(database)

    async def scene(following: Counted) -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        waits = asyncio.create_task(following.changed(reader, job_id, True, 60.0, receive))
        await until(lambda: job_id in following.feed._channels)
        gone.set()
        await asyncio.wait_for(waits, 5.0)
        assert not following.places._taken

    play(scene)
