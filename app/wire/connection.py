"""One HTTP connection: uvicorn's, whose client has to say what it wants in time, and to take the answer."""

import secrets
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app import problems
from app.errors import ChainruleError, HeadTooLarge, MalformedRequest, RequestTimeout
from app.wire import headers
from app.wire.door import Door
from app.wire.outlet import Outlet

MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
MOST_PIPELINED = 16
"""Requests that may wait behind the one that is being answered."""

HURRY_SECONDS = 1.0
"""What a client gets while the server is going away."""

UPGRADE = frozenset({b"upgrade", b"http2-settings"})


class _Refused(Exception):
    """Goes out through the parser, which wraps it."""


class Connection(HttpToolsProtocol):
    """Counts down the seconds that its client has for what it is doing, whenever it is the client's turn."""

    transport: Any  # an Outlet
    cycle: Any  # the newest request; None before the first

    def __init__(
        self, door: Door, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._door = door
        self._patience = door.patience
        self._crowded = False
        self._least = -door.beat_seconds / 2  # the first beat comes too early by so much
        self._left = door.patience.head
        self._beginning = False
        """A head has begun, and is not whole."""
        self._receiving = False
        """A body is not whole."""
        self._head_bytes = 0
        """Since a head began, or since a body's last byte: chunks' sizes, trailers. From the next data on."""
        self._data_bytes = 0
        self._body_bytes = 0
        self._upgrading = b""
        """The method of a request that wishes for another protocol."""
        self._refusal: ChainruleError | None = None
        self._deaf = False
        """Whatever comes is thrown away."""
        self._ending = False
        self._taken = 0
        self._taking_left = door.patience.body

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = Outlet(transport, self._linger)
        self._crowded = not self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._data_bytes = len(data)
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refusal or MalformedRequest("This is not HTTP/1.1 as RFC 9112 has it."))
        if self._head_bytes > MOST_HEAD_BYTES and (self._beginning or self._receiving) and not self._deaf:
            self._refuse(HeadTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._beginning = True
        self._head_bytes = 0
        self._left = self._patience.head
        state = self.scope["state"]
        state["abort"] = self.transport.abort
        state["crowded"] = self._crowded

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._receiving:  # behind a body they would come after all checks
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_head()
        if self.parser.should_upgrade():
            self._upgrading = self.parser.get_method()
            return
        super().on_headers_complete()
        self._beginning = False
        self._receiving = True
        self._body_bytes = self._head_bytes = 0
        self._left = self._patience.body
        self._door.waiting.pop(self, None)

    def _check_head(self) -> None:
        """Raise for a head that is too large, or that another server might read in another way."""
        if len(self.headers) > MOST_HEADERS or (
            (self._head_bytes or self._data_bytes > MOST_HEAD_BYTES) and self._size() > MOST_HEAD_BYTES
        ):
            self._fail(HeadTooLarge())
        version, hosts = self.parser.get_http_version(), 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and (version == "1.0" or value.lower() != b"chunked"):
                self._fail(MalformedRequest("The only Transfer-Encoding is chunked, and in HTTP/1.1."))
        if hosts != 1 and (hosts or version == "1.1"):
            self._fail(MalformedRequest("A request has one Host header."))
        if version not in ("1.0", "1.1") or self.parser.get_method() == b"CONNECT":
            self._fail(MalformedRequest("This server speaks HTTP/1.1, and is no proxy."))
        if len(self.pipeline) >= MOST_PIPELINED:
            self._fail(MalformedRequest("Too many requests wait for one another."))

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _fail(self, error: ChainruleError) -> None:
        self._refusal = error
        raise _Refused

    def _go_on(self, rest: bytes) -> None:
        """Read the request once more without its wish for another protocol: the parser would drop its body,
        and take that for the next request. Nobody has to grant such a wish."""
        lines = [b"%b %b HTTP/1.1" % (self._upgrading, self.url)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [each.strip() for each in value.split(b",")]
                value = b", ".join(each for each in tokens if each.lower() not in UPGRADE)
            if name not in UPGRADE:
                lines.append(b"%b: %b" % (name, value))
        self._upgrading = b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self._receiving = False
        super().on_message_complete()
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """In place of uvicorn's, which sets up a clock for each answer: the door looks after all of them."""
        self.transport.answered()
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
        if self._ending:
            return
        if self._receiving:
            self._left = self._patience.linger
        elif self.cycle.response_complete:  # else the next one has waited behind it
            self._rest()

    def _rest(self) -> None:
        self._left = self._patience.head if self._beginning else self._patience.idle
        self._door.waiting[self] = None

    def look_after(self, seconds: float, *, hurry: bool) -> None:
        unsent = self.transport.unsent
        taken = self.transport.written - unsent
        gained, self._taken = taken - self._taken, taken
        if unsent:
            left = min(self._taking_left + gained / self._patience.rate, self._patience.body)
            self._taking_left = (min(left, HURRY_SECONDS) if hurry else left) - seconds
            if self._taking_left < self._least:
                self.cut()
            return
        self._taking_left = self._patience.body
        busy = self.cycle is not None and not self.cycle.response_complete
        if self._receiving and busy and not self._ending:
            if self.flow.read_paused or self.cycle.waiting_for_100_continue:
                return
            gained, self._body_bytes = self._body_bytes, 0
            self._left = min(self._left + gained / self._patience.rate, self._patience.body)
        elif busy and not self._ending:
            return
        self._left = (min(self._left, HURRY_SECONDS) if hurry else self._left) - seconds
        if self._left < self._least:
            self._time_is_over(busy)

    def _time_is_over(self, busy: bool) -> None:
        if self._beginning and not (busy or self._ending):
            self._refuse(RequestTimeout("The head of the request did not come in time."))
        elif self._receiving and not (self._ending or self.cycle.response_started):
            self._refuse(RequestTimeout("The body of the request came too slowly."))
        elif self._receiving or self._ending:
            self.cut()
        else:
            self.transport.close()

    def cut(self) -> None:
        self.transport.abort()

    def _refuse(self, error: ChainruleError) -> None:
        """Answer with this as soon as it is its turn, and read nothing more."""
        self._deaf = True
        if self._receiving and self.cycle.response_complete:  # it had its answer early
            self.transport.close()
        elif self.cycle is None or self.cycle.response_complete:
            self._beginning = True  # whatever else it was
            self._answer(error)
            self.transport.close()
        elif not self._receiving:  # the requests before this one get their answers
            self.cycle.keep_alive = False
        elif self.cycle.response_started:
            self.cut()
        else:  # the application waits for the body, and answers
            self._ending = True
            self._left = self._patience.linger
            self.scope["state"]["cut_off"] = error
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
            self.flow.resume_reading()

    def _answer(self, error: ChainruleError) -> None:
        path = self.url.partition(b"?")[0] if self._beginning and self.headers is not None else b""
        request_id = secrets.token_hex(12)
        content = problems.body(error, path.decode("latin-1"), request_id)
        own = [
            (b"content-type", problems.media_type(path.decode("latin-1")).encode()),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
            *self.server_state.default_headers,
        ]
        secure = self.scheme == "https"
        lines = [b"%b: %b\r\n" % each for each in headers.complete(own, request_id.encode(), secure=secure)]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", content]))

    def _linger(self) -> bool:
        """Whether the client is still sending: it is closed later then, and may read its answer first."""
        if not (self._receiving or self._beginning):
            return False
        if not self._deaf or not self._ending:
            self._deaf = self._ending = True
            self._left = self._patience.linger
            self.flow.resume_reading()
        self.transport.end()
        return True
