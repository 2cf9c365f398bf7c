"""The one reader of all jobs that are followed: it asks the database once per change for everybody.

It reads jobs of every project, and only those that somebody who follows them has found in his own.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.following.channels import RING_BYTES, Channel, Follower, Frame, Seen, frame
from app.jobs import events
from app.keys.service import Authenticator
from app.storage.changes import Watch
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.scope import whole_server
from app.storage.tables import Job

log = logging.getLogger(__name__)

Run = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments in a thread."""

LOOK_SECONDS = 1.0
"""How often to look without a hint that something has changed."""

MOST_PAUSE_SECONDS = 0.05
BEAT_SECONDS = 1.0
PING_SECONDS = 15.0
LINGER_SECONDS = 5.0
"""For so long a job's events are read on after its last reader has gone: polls come back."""

EVENTS_AT_ONCE = 100
ALL_RINGS_BYTES = 64 * 2**20
KEPT_PAGES = 64
KEPT_PAGE_BYTES = 2**18
"""Full pages of what happened long ago, and the most bytes of each: streams that begin together, as after a
restart, all read the same ones.
"""

_jobs = core(Job)
LOOK = sa.select(_jobs.c.id, _jobs.c.status, _jobs.c.event_count).where(
    _jobs.c.id.in_(sa.bindparam("jobs", expanding=True))
)


Page = tuple[str, int, int]
"""A job, the number before the first event, and how many events."""


class Asked(NamedTuple):
    """What a look is to find out of a job: its events behind ``last``, or its latest; or none of them."""

    job_id: str
    wants_events: bool
    last: int | None


class Feed:
    """Jobs that are followed in this process. All of it but `_look` and `_read` is the event loop's."""

    def __init__(
        self, database: Database, watch: Watch, keys: Authenticator, run: Run, stall_seconds: float
    ) -> None:
        self._database = database
        self._watch = watch
        self._keys = keys
        self._run = run
        self._stall_seconds = stall_seconds
        self._channels: dict[str, Channel] = {}
        self._backlogs: dict[Page, asyncio.Task[list[Frame]]] = {}
        self._pages: OrderedDict[Page, list[Frame]] = OrderedDict()
        self._reading: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self.cut_off = 0
        """Streams whose client took nothing for too long."""

    @property
    def stopped(self) -> bool:
        return self._watch.stopped

    @contextmanager
    def follow(self, job_id: str, key_id: str, wants_events: bool) -> Iterator[Follower]:
        """Be woken when the job's status changes, or its events do, for as long as the block runs.

        The job must have been found, by whoever asks, in the key's own project.
        """
        loop = asyncio.get_running_loop()
        channel = self._channels.get(job_id)
        if channel is None or channel.gone:
            channel = self._channels[job_id] = Channel(job_id)
        if channel.status is None or (wants_events and not channel.wants_events):
            channel.wants_events |= wants_events
            self._watch.wake()
        follower = Follower(channel, key_id, wants_events)
        channel.followers.add(follower)
        if self._reading is None or self._reading.done():
            self._reading = loop.create_task(self._read_on(), context=Context())  # for everybody
        if self._beating is None or self._beating.done():
            self._beating = loop.create_task(self._beat(), context=Context())
        try:
            yield follower
        finally:
            channel.followers.discard(follower)
            if not channel.followers:
                channel.left_at = loop.time()
                if not channel.wants_events and self._channels.get(job_id) is channel:
                    del self._channels[job_id]

    async def events(self, job_id: str, after: int, limit: int, least: int = 0) -> list[Frame]:
        """The events behind ``after``, as they are at least up to number ``least``."""
        channel = self._channels.get(job_id)
        if channel is not None and channel.last is not None and channel.last >= least:
            found = channel.since(after, limit)
            if found is not None:
                return found
        key = (job_id, after, limit)
        if key in self._pages:
            self._pages.move_to_end(key)
            return self._pages[key]
        reading = self._backlogs.get(key) if least == 0 else None
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._backlog(*key))
            if least == 0:
                self._backlogs[key] = reading
                reading.add_done_callback(lambda _: self._backlogs.pop(key, None))
        return await asyncio.shield(reading)

    async def _backlog(self, job_id: str, after: int, limit: int) -> list[Frame]:
        found: list[Frame] = await self._run(self._read, job_id, after, limit)
        if len(found) == limit and sum(len(each.content) for each in found) <= KEPT_PAGE_BYTES:
            self._pages[job_id, after, limit] = found  # nothing can come in between any more
            if len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        return found

    def _read(self, job_id: str, after: int, limit: int) -> list[Frame]:
        with whole_server(), self._database.reading() as session:
            return [frame(each) for each in events.after(session, job_id, after, limit)]

    async def _read_on(self) -> None:
        """Look whenever something has changed, for a quarter of the time at most."""
        loop = asyncio.get_running_loop()
        while self._channels and not self.stopped:
            version, begun = self._watch.version, loop.time()
            asked = [Asked(each.job_id, each.wants_events, each.last) for each in self._channels.values()]
            try:
                more = self._tell(await self._run(self._look, asked))
            except Exception as error:  # the database may be away: streams wait for it
                log.warning("cannot look at the jobs that are followed: %s", type(error).__name__)
                await self._watch.stopping(LOOK_SECONDS)
                continue
            await asyncio.sleep(min(MOST_PAUSE_SECONDS, 3 * (loop.time() - begun)))
            if not more:
                await self._watch.after(version, LOOK_SECONDS)

    def _look(self, asked: list[Asked]) -> list[Seen]:
        found = []
        with whole_server(), self._database.reading() as session:
            jobs = {row.id: row for row in session.execute(LOOK, {"jobs": [each.job_id for each in asked]})}
            for each in asked:
                row = jobs.get(each.job_id)
                frames: list[Frame] = []
                if row is not None and each.wants_events:
                    after = max(0, row.event_count - EVENTS_AT_ONCE) if each.last is None else each.last
                    if after < row.event_count:
                        written = events.after(session, each.job_id, after, EVENTS_AT_ONCE)
                        frames = [frame(event) for event in written]
                status, count = (None, 0) if row is None else (row.status, row.event_count)
                found.append(Seen(each.job_id, status, count, frames))
        return found

    def _tell(self, looks: list[Seen]) -> bool:
        """Pass on what was seen; return whether there is more to be read."""
        most = min(RING_BYTES, ALL_RINGS_BYTES // max(1, len(self._channels)))
        more = False
        for seen in looks:
            channel = self._channels.get(seen.job_id)
            if channel is None:
                continue
            channel.take(seen, most)
            if channel.gone:
                del self._channels[seen.job_id]
            more |= bool(seen.frames) and seen.frames[-1].seq < seen.event_count
        return more

    async def _beat(self) -> None:
        """Every second: cut off who takes nothing, ping who hears nothing, send away whose key is gone."""
        loop = asyncio.get_running_loop()
        while self._channels:
            stopped = await self._watch.stopping(BEAT_SECONDS)
            moment = loop.time()
            for channel in list(self._channels.values()):
                if not channel.followers and moment - channel.left_at > LINGER_SECONDS:
                    del self._channels[channel.job_id]
                for follower in channel.followers:
                    self._look_after(follower, moment)
            if stopped:
                break
            await self._check_keys()

    def _look_after(self, follower: Follower, moment: float) -> None:
        since = follower.sending_since
        if since is not None and moment - since > self._stall_seconds:
            self.cut_off += not follower.left
            follower.leave()
            if follower.abort is not None:
                follower.abort()
        elif self.stopped or self.ping_due(follower, moment) or moment >= follower.until:
            follower.wake()

    def ping_due(self, follower: Follower, moment: float) -> bool:
        """Whether a stream has been silent for too long."""
        return moment - follower.sent_at > PING_SECONDS

    async def _check_keys(self) -> None:
        followers = [each for channel in self._channels.values() for each in channel.followers]
        if not followers:
            return
        try:
            standing = await self._run(self._keys.standing, {each.key_id for each in followers})
        except Exception as error:  # nothing is read either while the database is away
            log.warning("cannot check the keys of streams: %s", type(error).__name__)
            return
        for follower in followers:
            if follower.key_id not in standing:
                follower.revoked = True
                follower.wake()
