"""A job's events as server-sent events."""

import asyncio

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.following.channels import Follower, Frame
from app.following.feed import EVENTS_AT_ONCE, LOOK_SECONDS
from app.following.service import Following, listen
from app.keys.service import Principal

RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a client whose connection broke is to come back."""

PING = b": ping\n\n"
END = b"event: end\ndata: {}\n\n"

OLD = b": this stream is as old as it may be: come back with Last-Event-ID\n\n"

PART_BYTES = 2**16
"""Bytes that are sent at once: what a stream whose client takes nothing has in memory is twice that."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """The events behind ``after``, as they come, until the job can have no more.

    It holds neither a session nor a thread. Without ``event: end`` it ends when the server stops, when the
    key is no longer valid, when the client takes nothing for too long, and when it is too old.
    """

    media_type = "text/event-stream"

    def __init__(self, following: Following, principal: Principal, job_id: str, after: int) -> None:
        super().__init__()
        self._following = following
        self._principal = principal
        self._job_id = job_id
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key_id, feed = self._principal.key_id, self._following.feed
        with (
            self._following.places.taken(key_id),
            feed.follow(self._job_id, key_id, wants_events=True) as follower,
        ):
            follower.until = asyncio.get_running_loop().time() + self._following.stream_seconds
            follower.abort = scope.get("state", {}).get("abort")
            listening = asyncio.create_task(listen(receive, follower))
            self._following.streams += 1
            try:
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                await self._send(follower, send, RETRY)
                await self._follow(follower, send)
                if not follower.left:
                    await send({"type": "http.response.body", "body": b""})
            finally:
                self._following.streams -= 1
                listening.cancel()

    async def _follow(self, follower: Follower, send: Send) -> None:
        after = self._after
        feed = self._following.feed
        loop = asyncio.get_running_loop()
        while not (follower.left or follower.revoked or feed.stopped):
            channel = follower.channel
            frames = channel.since(after, EVENTS_AT_ONCE)
            if frames is None:
                try:
                    frames = await feed.events(self._job_id, after, EVENTS_AT_ONCE)
                except SQLAlchemyError:  # it is away: what was not read is read when it is back
                    frames = []
                    await asyncio.sleep(LOOK_SECONDS)
            if frames:
                after = frames[-1].seq
                for part in _parts(frames):
                    await self._send(follower, send, part)
            elif channel.over(after):
                await self._send(follower, send, END)
                return
            elif loop.time() >= follower.until:
                await self._send(follower, send, OLD)
                return
            elif feed.ping_due(follower, loop.time()):
                await self._send(follower, send, PING)
            else:
                await follower.woken()

    async def _send(self, follower: Follower, send: Send, content: bytes) -> None:
        if follower.left:
            return
        loop = asyncio.get_running_loop()
        follower.sending_since = loop.time()
        await send({"type": "http.response.body", "body": content, "more_body": True})
        follower.sending_since = None
        follower.sent_at = loop.time()


def _parts(frames: list[Frame]) -> list[bytes]:
    """The frames in few pieces, each little longer than `PART_BYTES`, if not one frame is."""
    parts: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for each in frames:
        waiting.append(each.content)
        size += len(each.content)
        if size >= PART_BYTES:
            parts.append(b"".join(waiting))
            waiting, size = [], 0
    return [*parts, b"".join(waiting)] if waiting else parts
