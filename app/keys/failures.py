"""Wrong keys by the address that they came from, so that whoever tries many does not keep the database busy.

A valid key is never refused for what others at its address do: behind a proxy all may have one address.
"""

import ipaddress
import threading
import time

MINUTE = 60.0
MOST_ADDRESSES = 10_000
"""Further ones are counted as one, until the minute is over: memory is bounded, whoever asks."""

IPV6_NETWORK = 64
"""Bits of an IPv6 address that tell one client's network from another's."""


class Failures:
    """Of the current minute; at most ``most`` from one address are looked up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        """One more from there."""
        with self._lock:
            self._turn_over()
            place = self._place(address)
            self._counts[place] = self._counts.get(place, 0) + 1

    def wait(self, address: str) -> int:
        """For how many seconds no more are looked up from there; 0 while they are."""
        with self._lock:
            self._turn_over()
            if self._counts.get(self._place(address), 0) < self._most:
                return 0
            return max(1, int(self._until - time.monotonic()) + 1)

    def _turn_over(self) -> None:
        if time.monotonic() >= self._until:
            self._counts.clear()
            self._until = time.monotonic() + MINUTE

    def _place(self, address: str) -> str:
        network = network_of(address)
        full = network not in self._counts and len(self._counts) >= MOST_ADDRESSES
        return "" if full else network


def network_of(address: str) -> str:
    """An IPv4 address itself, of an IPv6 one its network; empty for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_NETWORK), strict=False))
