"""TLS: the certificate, which may be replaced while the server runs, and how a connection gets there."""

import asyncio
import contextlib
import logging
import ssl
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from app.wire.door import Door

Coming = Coroutine[Any, Any, asyncio.Transport | None]

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 2.0


class BadCertificate(Exception):
    """The certificate and the key cannot be used."""


class Certificate:
    """A certificate (with its chain) and its private key, both PEM files. Raises BadCertificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        for what, path in (("certificate", certificate), ("key", key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise BadCertificate(f"the TLS {what} {path} cannot be read: {error.strerror}.") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except _Encrypted:
            raise BadCertificate(
                f"the TLS key {key} has a passphrase; this server takes keys without."
            ) from None
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise BadCertificate(
                    f"the TLS key {key} is not that of the certificate {certificate}."
                ) from None
            raise BadCertificate(
                f"{certificate} and {key} are not a certificate and its key in PEM ({error.reason})."
            ) from None
        return context

    def reload(self) -> None:
        """Read the files again, for connections to come. What is wrong is logged and changes nothing."""
        try:
            self.context = self._load()
        except BadCertificate as error:
            log.error("the certificate stays as it was: %s", error)
        else:
            log.info("the certificate was read again")


class _Encrypted(Exception):
    pass


def _no_password() -> str:
    raise _Encrypted


class Handshake(asyncio.Protocol):
    """Brings a new connection to TLS in time, and hands it to the protocol that ``make`` makes."""

    def __init__(self, door: Door, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._context = context
        self._make = make
        self._early = bytearray()
        self._over = False
        self._transport: Any = None
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._door.enter(self)
        loop = asyncio.get_running_loop()
        coming = loop.start_tls(
            self._transport,
            self,
            self._context,
            server_side=True,
            ssl_handshake_timeout=self._door.patience.head,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        # It begins here and not in its task: uvloop reads as soon as we return, and TLS must see every byte.
        self._shaking = loop.create_task(self._shake(coming, coming.send(None)))

    async def _shake(self, coming: Coming, first: object) -> None:
        try:
            secure = await _resumed(coming, first)
        except (OSError, asyncio.CancelledError):  # of the client's making, or we are going away
            secure = None
        finally:
            self._door.leave(self)
        if secure is None or self._over:
            self._transport.abort()
            return
        protocol = self._make()
        secure.set_protocol(protocol)
        protocol.connection_made(secure)
        if self._early:
            protocol.data_received(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        """What came right behind the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True

    def look_after(self, seconds: float, *, hurry: bool) -> None:
        if hurry:
            self.cut()

    def cut(self) -> None:
        with contextlib.suppress(AttributeError):
            self._transport.abort()


@types.coroutine
def _resumed(coroutine: Coming, first: object) -> Generator[object, None, Any]:
    """The rest of a coroutine that ran as far as to wait for ``first``."""
    waited = first
    try:
        while True:
            try:
                yield waited
            except BaseException as error:
                waited = coroutine.throw(error)
            else:
                waited = coroutine.send(None)
    except StopIteration as over:
        return over.value
