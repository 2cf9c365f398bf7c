"""Connections to Postgres that never wait for ever, whatever becomes of the network."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

CONNECT_SECONDS = 2
PING_SECONDS = 1.5
RETRY_SECONDS = 0.5
WAIT_INTERVAL = 0.1
SERVERS_SHARE = 0.8
"""The server gives a statement up before the client gives the server up: the connection can be used on."""

Result = TypeVar("Result")


class Connection(psycopg.Connection[Any]):
    """Closes itself when the server has not answered for ``patience`` seconds (None: it waits for ever).

    TCP itself would wait for a quarter of an hour, and for ever for a host that acknowledges and is silent.
    """

    patience: float | None = None

    def wait(
        self, gen: PQGen[Result], interval: float = WAIT_INTERVAL, timeout: float | None = None
    ) -> Result:
        if timeout is not None or self.patience is None:
            return super().wait(gen, interval, timeout)
        # Only the pool's test of a connection, and LISTEN, run outside of a transaction: both are quick.
        patience = PING_SECONDS if self.autocommit else self.patience
        start = time.monotonic()
        try:
            return super().wait(gen, interval, patience)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or time.monotonic() - start < patience:
                raise
            self.pgconn.finish()
            raise psycopg.errors.ConnectionTimeout("the server does not answer") from None


def options(url: URL, patience: float | None, idle_seconds: float) -> tuple[URL, dict[str, Any]]:
    """The URL without its ``options``, and libpq's parameters; what the URL itself names stays as it is.

    ``idle_seconds``: how long a transaction may do nothing. A process that is stopped in the middle of one
    would else keep its locks for as long as it is stopped.
    """
    milliseconds = 0 if patience is None else int(1000 * SERVERS_SHARE * patience)
    ours = (
        f"-c statement_timeout={milliseconds} "
        f"-c idle_in_transaction_session_timeout={int(1000 * idle_seconds)}"
    )
    theirs = url.query.get("options", "")
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": int(1000 * (patience or 30.0)),
        "application_name": "chainrule",
    }
    chosen = {name: value for name, value in parameters.items() if name not in url.query}
    # The last one counts, so that an operator's own options win.
    chosen["options"] = f"{ours} {theirs if isinstance(theirs, str) else ' '.join(theirs)}".strip()
    return url.difference_update_query(["options"]), chosen


def resolved(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the addresses of the hosts that they name.

    libpq would ask for them, too, and hold up every thread of this process while nobody answers.
    """
    hosts, ports = (str(parameters.get(name) or "").split(",") for name in ("host", "port"))
    if "hostaddr" in parameters or not all(hosts) or any(host.startswith(("/", "@")) for host in hosts):
        return parameters
    found = []
    for number, host in enumerate(hosts):
        port = ports[number if len(ports) == len(hosts) else 0]
        try:
            answers = socket.getaddrinfo(host, port or "5432", type=socket.SOCK_STREAM)
        except OSError as error:
            raise psycopg.OperationalError(f"the database's host is not found: {error}") from None
        found += [(host, str(each[4][0]), port) for each in answers]
    names, addresses, numbers = (",".join(column) for column in zip(*found, strict=True))
    return {**parameters, "host": names, "hostaddr": addresses, "port": numbers}


class Breaker:
    """While the database does not answer, one asks at a time, and everybody else is told so at once.

    Without it every request would wait for its own time limit, and those behind it for a thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own = threading.local()
        self._shut = False
        self._try_at = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a transaction. Raises OperationalError when it is not its turn."""
        inside = getattr(self._own, "inside", False)
        if not inside:
            self._admit()
        self._own.inside = True
        try:
            yield
        except BaseException as error:
            cause = error.orig if isinstance(error, OperationalError) else None
            self._shut = isinstance(cause, psycopg.errors.ConnectionTimeout)
            self._try_at = time.monotonic() + RETRY_SECONDS
            raise
        else:
            self._shut = False
        finally:
            self._own.inside = inside

    def _admit(self) -> None:
        if not self._shut:
            return
        with self._lock:
            if time.monotonic() < self._try_at:
                cause = psycopg.errors.ConnectionTimeout("the server did not answer just now")
                raise OperationalError("(not sent)", None, cause)
            self._try_at = time.monotonic() + CONNECT_SECONDS + PING_SECONDS
