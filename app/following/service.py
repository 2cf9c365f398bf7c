"""Reading a job and its events, and waiting for them to change."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from app.errors import ChainruleError, Unauthenticated
from app.following.channels import Channel, Follower, Frame
from app.following.feed import Feed
from app.following.places import Places
from app.following.records import Record, Records
from app.jobs.states import AT_REST, TERMINAL
from app.keys.service import Authenticator, Principal
from app.settings import Settings
from app.storage.changes import Watch
from app.storage.database import Database

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

THREADS = 3
"""Of its own: readers wait neither for uploads nor for slow writers."""


class Events(NamedTuple):
    """A page of a job's log; ``over``: nothing can follow it."""

    frames: list[Frame]
    over: bool


class Following:
    """What this process has for those who follow jobs."""

    def __init__(self, database: Database, watch: Watch, keys: Authenticator, settings: Settings) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "following")
        self.places = Places(settings.max_streams, settings.max_streams_per_key)
        self.streams = 0
        """Event streams; the other places that are taken are held requests."""
        self.stream_seconds = settings.max_stream_seconds
        self.records = Records(database, watch, self._run, settings.max_running_jobs)
        self.feed = Feed(database, watch, keys, self._run, settings.stream_stall_seconds)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def changed(
        self, principal: Principal, job_id: str, terminal: bool, seconds: float, receive: Receive
    ) -> Record:
        """The job once nothing more happens to it, or its status is another (unless only a ``terminal`` one
        will do), or the time is over. ``receive`` is the ASGI request's. Raises NotFound.
        """
        record = await self.records.get(principal, job_id)
        first = record.status

        def done(status: str | None) -> bool:
            return status in AT_REST or (status != first and not terminal)

        if done(record.status) or seconds <= 0:
            return record
        await self._hold(principal, job_id, False, seconds, receive, lambda channel: done(channel.status))
        return await self.records.get(principal, job_id)

    async def events(
        self, principal: Principal, job_id: str, after: int, limit: int, seconds: float, receive: Receive
    ) -> Events:
        """The events behind ``after``, once there are any, or the time is over. Raises NotFound."""
        found = await self._events(principal, job_id, after, limit)
        if found.frames or found.over or seconds <= 0:
            return found

        def done(channel: Channel) -> bool:
            return channel.over(after) or (channel.last or 0) > after

        await self._hold(principal, job_id, True, seconds, receive, done)
        return await self._events(principal, job_id, after, limit)

    async def _events(self, principal: Principal, job_id: str, after: int, limit: int) -> Events:
        record = await self.records.get(principal, job_id)
        frames: list[Frame] = []
        if after < record.event_count:
            frames = await self.feed.events(job_id, after, limit, record.event_count)
        last = frames[-1].seq if frames else after
        return Events(frames, record.status in TERMINAL and last >= record.event_count)

    async def _hold(
        self,
        principal: Principal,
        job_id: str,
        wants_events: bool,
        seconds: float,
        receive: Receive,
        done: Callable[[Channel], bool],
    ) -> None:
        """Return when the channel is ``done``, the time is over, the client goes or the server stops."""
        loop = asyncio.get_running_loop()
        with (
            self.places.taken(principal.key_id),
            self.feed.follow(job_id, principal.key_id, wants_events) as follower,
        ):
            # Its own word, and not a look at the clock: a timer may be a little early.
            timer = loop.call_later(seconds, follower.leave)
            listening = loop.create_task(listen(receive, follower))
            try:
                while not (self.feed.stopped or follower.left):
                    if follower.revoked:
                        raise Unauthenticated("This API key has expired, or was revoked.")
                    if follower.channel.gone or (follower.channel.looked and done(follower.channel)):
                        return
                    await follower.woken()
            finally:
                timer.cancel()
                listening.cancel()


async def listen(receive: Receive, follower: Follower) -> None:
    """Notice that the client goes, or sends what no request may."""
    try:
        with contextlib.suppress(ChainruleError):
            while (await receive())["type"] != "http.disconnect":
                pass
    finally:
        follower.leave()
