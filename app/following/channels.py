"""What is known of one job that is followed, and who follows it."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from app.jobs.answers import EventAnswer
from app.jobs.states import TERMINAL

RING_BYTES = 4 * 2**20
"""Most bytes of a channel's events that are kept; with many channels there are fewer for each."""


class Frame(NamedTuple):
    """An event as streams send it; its JSON lies within."""

    seq: int
    content: bytes
    start: int

    @property
    def json(self) -> bytes:
        return self.content[self.start : -2]


def frame(event: dict[str, Any]) -> Frame:
    """Serialise an event, once for everybody."""
    head = f"id: {event['seq']}\nevent: {event['type']}\ndata: ".encode()
    data = EventAnswer.model_validate(event).model_dump_json().encode()
    return Frame(event["seq"], b"%b%b\n\n" % (head, data), len(head))


class Seen(NamedTuple):
    """A look at a job: ``frames`` follow one another without a gap. ``status`` None: it is gone."""

    job_id: str
    status: str | None
    event_count: int
    frames: Sequence[Frame]


class Channel:
    """A job, as the last look has found it, and its last events."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.status: str | None = None
        self.event_count = 0
        self.gone = False
        self.looked = False
        self.last: int | None = None
        """The event up to which the job was read; None before the first was."""
        self.followers: set[Follower] = set()
        self.wants_events = False
        self.left_at = 0.0
        self._ring: list[Frame] = []
        self._size = 0

    def take(self, seen: Seen, most_bytes: int) -> None:
        """Add what was seen, and wake those who wait for it."""
        if seen.status is None:
            self.gone = True
        changed = self.gone or not self.looked or seen.status != self.status
        self.looked = True
        self.status, self.event_count = seen.status, seen.event_count
        if seen.frames:
            self._ring += seen.frames
            self.last = seen.frames[-1].seq
            self._size += sum(len(each.content) for each in seen.frames)
            self._trim(most_bytes)
        elif self.wants_events and self.last is None:
            self.last = seen.event_count
        for follower in self.followers:
            if changed or (seen.frames and follower.wants_events):
                follower.wake()

    def _trim(self, most_bytes: int) -> None:
        count = 0
        while self._size > most_bytes and count < len(self._ring) - 1:
            self._size -= len(self._ring[count].content)
            count += 1
        del self._ring[:count]

    def since(self, after: int, limit: int) -> list[Frame] | None:
        """The events behind ``after`` that are known; None where some of them are no longer kept."""
        if self.last is None or after >= self.last:
            return []
        if not self._ring or after + 1 < self._ring[0].seq:
            return None
        first = after + 1 - self._ring[0].seq
        return self._ring[first : first + limit]

    def over(self, after: int) -> bool:
        """Whether nothing can follow ``after``."""
        return self.gone or (self.status in TERMINAL and after >= self.event_count)


class Follower:
    """One stream or held request. It waits without a timer of its own: the feed looks after it."""

    __slots__ = (
        "_woken",
        "abort",
        "channel",
        "key_id",
        "left",
        "revoked",
        "sending_since",
        "sent_at",
        "until",
        "wants_events",
    )

    def __init__(self, channel: Channel, key_id: str, wants_events: bool) -> None:
        self.channel = channel
        self.key_id = key_id
        self.wants_events = wants_events
        self.left = False
        self.revoked = False
        self.sent_at = math.inf  # until a stream has begun
        self.until = math.inf
        """When a stream is as old as it may be, by the loop's clock."""
        self.sending_since: float | None = None
        self.abort: Callable[[], None] | None = None
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def leave(self) -> None:
        """The client has gone, or its time is over."""
        self.left = True
        self.wake()

    async def woken(self) -> None:
        """Return at the next `wake`, at once if there was one since the last time."""
        await self._woken.wait()
        self._woken.clear()
