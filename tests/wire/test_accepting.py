"""Clients that come all at once, to a server that has much to do."""

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from app.settings import Settings
from app.wire.server import Server
from tests.support.server import until
from tests.support.sockets import HOST, head

CROWD = 64


class Busy:
    """An application whose event loop takes 10 ms for each round; it counts them."""

    def __init__(self) -> None:
        self.rounds = 0
        self.answered: list[int] = []

    async def _work(self) -> None:
        while True:
            self.rounds += 1
            time.sleep(0.01)  # noqa: ASYNC251 - this is what many clients that are served do to a loop
            await asyncio.sleep(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            working = asyncio.create_task(self._work())
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            working.cancel()
            return
        self.answered.append(self.rounds)
        start: dict[str, Any] = {"type": "http.response.start", "status": 204, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})


def test_those_who_come_together_do_not_come_in_one_by_one(tmp_path: Path) -> None:
    busy = Busy()
    server = Server(busy, Settings(port=0, data_dir=tmp_path))
    listening = server.listen()
    address = listening.getsockname()
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(socket.create_connection(address))
            client.sendall(head("GET", "/", HOST))
        thread.start()
        try:
            until(lambda: len(busy.answered) == CROWD)
        finally:
            server.should_exit = True
            thread.join()
    assert busy.answered[-1] < CROWD // 2
