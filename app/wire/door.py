"""Everybody who is connected. There is always room for one more, and nobody stays who only costs."""

import asyncio
from typing import NamedTuple, Protocol

BEAT_SECONDS = 1.0
SPARE = 64
"""Connections beyond the limit that are let in when nobody can be sent away: for probes."""


class Patience(NamedTuple):
    """What clients get: seconds, bytes a second, connections at once.

    ``head``: for a request's head, and for TLS. ``body``: for a body, or for taking an answer; each second's
    worth of bytes, at ``rate``, gives a second back. ``idle``: between two requests. ``linger``: to stop
    sending after the last answer. Closing at once would take it from a client that still sends.
    """

    head: float
    body: float
    rate: float
    idle: float
    connections: int
    linger: float = 3.0


class Guest(Protocol):
    """A connection."""

    def look_after(self, seconds: float, *, hurry: bool) -> None:
        """So much time has gone by. ``hurry``: the server is going away."""

    def cut(self) -> None:
        """End it at once."""


class Door:
    """Belongs to one event loop."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.waiting: dict[Guest, None] = {}
        """Those who have not sent a whole head, from the one that has waited longest."""
        self.beat_seconds = BEAT_SECONDS
        self.hurry = False
        self._crowd: set[Guest] = set()
        self._beating: asyncio.TimerHandle | None = None
        self._beat_at = 0.0

    def __len__(self) -> int:
        return len(self._crowd)

    def enter(self, guest: Guest) -> bool:
        """Let it in, for one that waits if need be; false: beyond the limit, so only probes are answered."""
        self._crowd.add(guest)
        self.waiting[guest] = None
        if len(self._crowd) <= self.patience.connections:
            return True
        oldest = next(iter(self.waiting))
        if oldest is guest:
            if len(self._crowd) > self.patience.connections + SPARE:
                self._send_away(guest)
            return False
        self._send_away(oldest)
        return len(self._crowd) <= self.patience.connections

    def leave(self, guest: Guest) -> None:
        self._crowd.discard(guest)
        self.waiting.pop(guest, None)

    def _send_away(self, guest: Guest) -> None:
        self.leave(guest)
        guest.cut()

    def start(self) -> None:
        """Look after everybody from now on."""
        loop = asyncio.get_running_loop()
        self._beat_at = loop.time()
        self._beating = loop.call_later(self.beat_seconds, self._beat)

    def stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        moment = loop.time()
        # A process that did not run has read nothing either: that is not its clients' fault.
        seconds = min(moment - self._beat_at, 2 * self.beat_seconds)
        self._beat_at = moment
        for guest in list(self._crowd):
            guest.look_after(seconds, hurry=self.hurry)
        self._beating = loop.call_later(self.beat_seconds, self._beat)
