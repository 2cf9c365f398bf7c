"""A client that does no more than the wire asks for: thousands of requests on one connection."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple


class Raw(NamedTuple):
    """An answer as it came; the names of headers in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Wire:
    """Keeps its connection for as long as the server does. Every request carries ``headers``."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60.0)
        self._headers = dict(headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Raw:
        sent = {**self._headers, **(headers or {})}
        for last in (False, True):
            try:
                self._connection.request(method, path, body, sent)
                answer = self._connection.getresponse()
                found = tuple((name.lower(), value) for name, value in answer.getheaders())
                return Raw(answer.status, found, answer.read())
            except (ConnectionError, http.client.RemoteDisconnected):  # it was idle for too long
                self._connection.close()
                if last:
                    raise
        raise AssertionError

    def close(self) -> None:
        self._connection.close()
