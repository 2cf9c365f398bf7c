"""The way out of a connection: it sends an answer's head with its body, and lets the last answer be read."""

import asyncio
from collections.abc import Callable
from typing import Any

CONTINUE = b"HTTP/1.1 100 "
LENGTH = b"\r\ncontent-length: "

JOINED_BYTES = 64 * 1024
"""A longer body is not copied to be sent with its head."""


class Outlet(asyncio.Transport):
    """A transport around another. ``linger`` is asked before closing: true if it sees to the end itself.

    A head that says how long its body is waits for it: one packet instead of two.
    """

    def __init__(self, inner: asyncio.Transport, linger: Callable[[], bool]) -> None:
        super().__init__()
        self.written = 0
        self._inner = inner
        self._linger = linger
        self._between = True  # what is written next is a head
        self._head = b""

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet, since the client takes none."""
        return self._inner.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)
        if self._head:
            if len(data) <= JOINED_BYTES:
                data = self._head + data
            else:
                self._inner.write(self._head)
            self._head = b""
        elif self._between and isinstance(data, bytes) and not data.startswith(CONTINUE):
            self._between = False
            if LENGTH in data:
                self._head = data
                return
        self._inner.write(data)

    def answered(self) -> None:
        """An answer is over; that to HEAD has no body to wait for."""
        self._flush()
        self._between = True

    def close(self) -> None:
        self._flush()
        if not self._linger():
            self._inner.close()

    def _flush(self) -> None:
        if self._head:
            self._inner.write(self._head)
            self._head = b""

    def end(self) -> None:
        """Say that nothing more will come, as far as one can without closing (TLS cannot)."""
        if self._inner.can_write_eof() and not self._inner.is_closing():
            self._inner.write_eof()

    def abort(self) -> None:
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)
