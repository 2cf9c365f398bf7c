"""uvicorn with connections of our own: how it is set up, how it starts, and how it goes away."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from app.settings import Settings
from app.wire import descriptors
from app.wire.connection import Connection
from app.wire.door import Door, Patience
from app.wire.tls import Certificate, Handshake

Hook = Callable[[], object]

ACCEPTS_A_ROUND = 16
"""The event loop (libuv's) lets one connection in by each descriptor that listens, then serves all the others
once: where those are a thousand, who comes last would wait for seconds behind all that came with him."""


class Server(uvicorn.Server):
    """``application`` is ASGI's. When a signal asks the server to stop, ``at_once`` are called in its handler
    and ``in_loop`` soon after in the event loop."""

    def __init__(
        self,
        application: Any,
        settings: Settings,
        certificate: Certificate | None = None,
        *,
        in_loop: Sequence[Hook] = (),
        at_once: Sequence[Hook] = (),
    ) -> None:
        share = descriptors.share(settings.max_connections)
        self.door = Door(
            Patience(
                head=settings.head_seconds,
                body=settings.body_seconds,
                rate=settings.least_bytes_per_second,
                idle=settings.keep_alive_seconds,
                connections=share.connections,
            )
        )
        super().__init__(
            uvicorn.Config(
                application,
                host=settings.host,
                port=settings.port,
                backlog=share.backlog,
                access_log=False,
                log_config=None,
                http=self._protocol,  # type: ignore[arg-type]
                lifespan="on",
                ws="none",
                server_header=False,
                proxy_headers=bool(settings.trusted_proxy),
                forwarded_allow_ips=list(settings.trusted_proxy),
                timeout_keep_alive=max(1, int(settings.keep_alive_seconds)),
                timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds)),
            )
        )
        self._certificate = certificate
        self._in_loop = in_loop
        self._at_once = at_once
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> socket.socket:
        """A socket that takes connections already, for `run`."""
        listening = self.config.bind_socket()
        listening.listen(self.config.backlog)
        return listening

    def _protocol(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None,
    ) -> asyncio.Protocol:
        make = partial(Connection, self.door, config, server_state, app_state)
        return make() if self._certificate is None else Handshake(self.door, self._certificate.context, make)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.door.start()
        more = [each.dup() for each in sockets or () for _ in range(ACCEPTS_A_ROUND - 1)]
        await super().startup(None if sockets is None else [*sockets, *more])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.door.hurry = True
        await super().shutdown(sockets)
        self.door.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            for hook in self._in_loop:
                self._loop.call_soon_threadsafe(hook)
        for hook in self._at_once:
            hook()
