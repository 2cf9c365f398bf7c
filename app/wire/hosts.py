"""The names that a server answers to: a page whose own name leads here is not to speak with it."""

import ipaddress
import re
from collections.abc import Sequence

KEPT = 256
"""Host headers that are remembered as good."""


class Names:
    """``names`` are hosts without ports; ``*.example.com`` stands for every name below it, ``*`` for all.

    Without any, a server that listens on loopback answers to loopback's addresses and localhost: else the
    page of a stranger, whose name comes to stand for 127.0.0.1, would be of one origin with it.
    """

    def __init__(self, names: Sequence[str], *, loopback: bool) -> None:
        self._loopback = loopback and not names
        self._all = "*" in names or not (names or loopback)
        self._names = frozenset(_bare(each) for each in names if not each.startswith("*."))
        self._endings = tuple(each[1:].lower() for each in names if each.startswith("*."))
        self._good: set[bytes] = set()

    def know(self, host: bytes) -> bool:
        """Whether ``host``, the header as it came, is one of them, whatever its port."""
        if self._all or host in self._good:
            return True
        name = _bare(host.decode("latin-1"))
        if self._loopback:
            known = name == "localhost" or _is_loopback(name)
        else:
            known = name in self._names or name.endswith(self._endings)
        if known and len(self._good) < KEPT:
            self._good.add(host)
        return known


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address that a server listens on."""
    return host == "localhost" or _is_loopback(host)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _bare(host: str) -> str:
    """Without its port, its brackets and its last dot, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name if re.fullmatch(r"(:[0-9]*)?", rest) else host
    name, _, port = host.rpartition(":")
    if name and ":" not in name and port.isdigit():
        host = name
    return host.rstrip(".")
