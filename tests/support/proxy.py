"""A TCP proxy in front of Postgres that can lose, delay and cut what passes, a COMMIT's answer above all."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.engine import make_url

Where = Literal["before", "after"]
CHUNK = 65536


@dataclass(slots=True)
class _Cut:
    """The COMMIT of transactions in which ``statement`` was sent is to be cut, so many ``times``."""

    where: Where
    statement: bytes
    times: int


@dataclass(eq=False, slots=True)
class _Pair:
    """One client and its connection to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    started: bool = False
    unread: bytes = b""
    sent: list[bytes] = field(default_factory=list)
    prepared: dict[bytes, bytes] = field(default_factory=dict)
    deaf: bool = False
    """Cut behind a COMMIT: the server's answer does not come through."""


class Proxy:
    """Listens on a loopback port and forwards to the UNIX socket of the database ``url``."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._target = str(Path(str(parsed.query["host"])) / ".s.PGSQL.5432")
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut: _Cut | None = None
        self.cuts = 0
        self.delay = 0.0
        self.bytes_at_once = CHUNK
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._flows, self._server = self._call(self._start())
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"postgresql://{parsed.username}@127.0.0.1:{port}/{parsed.database}"
        self.url += "?sslmode=disable&gssencmode=disable"  # it reads what passes

    async def _start(self) -> tuple[asyncio.Event, asyncio.Server]:
        flows = asyncio.Event()
        flows.set()
        return flows, await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _soon(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._call(call())

    def swallow(self) -> None:
        """From now on nothing passes: connections stand, new ones are taken, and there is silence."""
        self._soon(self._flows.clear)

    def heal(self) -> None:
        """Everything passes again, what was held back first."""
        self.delay, self.bytes_at_once, self._cut = 0.0, CHUNK, None
        self._soon(self._flows.set)

    def reset(self) -> None:
        """Break every connection."""
        self._soon(self._break_all)

    def _break_all(self) -> None:
        for pair in list(self._pairs):
            self._break(pair)

    def cut_commit(self, where: Where, statement: str, times: int = 1) -> None:
        """Break the connection at the next COMMIT of a transaction that has sent ``statement``.

        ``before`` the server has seen it, or ``after`` it was done, so that only its answer is lost.
        """
        self._cut = _Cut(where, statement.encode(), times)

    def close(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        self._break_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            await self._flows.wait()
            answers, server = await asyncio.open_unix_connection(self._target)
        except OSError:  # the server is away
            client.close()
            return
        pair = _Pair(client, server)
        self._pairs.add(pair)
        for pump in (self._forth(pair, reader), self._back(pair, answers)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forth(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                where = self._look(pair, data)
                if where == "before":
                    break
                pair.deaf |= where == "after"
                await self._pass(pair.server, data)
        if not pair.deaf:
            self._break(pair)

    async def _back(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if pair.deaf:
                    break  # the COMMIT is done, and nobody will know
                await self._pass(pair.client, data)
        self._break(pair)

    async def _pass(self, to: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), self.bytes_at_once):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flows.wait()
            to.write(data[start : start + self.bytes_at_once])
            await to.drain()

    def _break(self, pair: _Pair) -> None:
        self._pairs.discard(pair)
        for writer in (pair.client, pair.server):
            end: socket.socket | None = writer.get_extra_info("socket")
            if writer is pair.client and end is not None:  # a reset, not an orderly end
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _look(self, pair: _Pair, data: bytes) -> Where | None:
        """Follow the client's messages; where to cut if the COMMIT that is wanted is among them."""
        pair.unread += data
        while len(pair.unread) >= 5:
            start = 1 if pair.started else 0  # the first message has no type
            size = start + int.from_bytes(pair.unread[start : start + 4], "big")
            if len(pair.unread) < size:
                break
            kind, body = pair.unread[:start], pair.unread[start + 4 : size]
            pair.unread, pair.started = pair.unread[size:], True
            if self._is_wanted_commit(pair, _statement(pair, kind, body)):
                cut = self._cut
                assert cut is not None
                self.cuts += 1
                cut.times -= 1
                if not cut.times:
                    self._cut = None
                return cut.where
        return None

    def _is_wanted_commit(self, pair: _Pair, statement: bytes | None) -> bool:
        if statement is None:
            return False
        if statement.startswith((b"BEGIN", b"ROLLBACK")):
            pair.sent.clear()
        if not statement.startswith(b"COMMIT"):
            pair.sent.append(statement)
            return False
        sent, pair.sent = pair.sent, []
        return self._cut is not None and any(self._cut.statement in each for each in sent)


def _statement(pair: _Pair, kind: bytes, body: bytes) -> bytes | None:
    """The SQL that a message sends or runs, if it does."""
    if kind == b"Q":
        return body.rstrip(b"\0")
    if kind == b"P":
        name, sql, _ = body.split(b"\0", 2)
        pair.prepared[name] = sql
        return sql
    if kind == b"B":
        _, name, _ = body.split(b"\0", 2)
        return pair.prepared.get(name)
    return None
