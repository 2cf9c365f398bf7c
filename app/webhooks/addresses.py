"""Where a webhook may lead: an address is checked, and it is the checked one that is connected to."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """The message says why nothing is sent there."""


def is_public(address: Address) -> bool:
    """Whether the address, and the one that it may carry inside, is one of the open internet."""
    inner: list[Address] = []
    if isinstance(address, ipaddress.IPv6Address):
        inner += [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
        inner += address.teredo or ()
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped is not None:
            return all(is_public(each) for each in inner)
    usual = address.is_global and not (address.is_multicast or address.is_reserved)
    return usual and all(is_public(each) for each in inner)


def parts_of(url: str, private: bool) -> tuple[str, int]:
    """Host and port of a webhook's URL. Raises Refused for a URL that no webhook may have.

    A host written as a number is checked at once; a name only when it is resolved, for each message.
    """
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        raise Refused("This is no URL.") from None
    if split.scheme not in (("https", "http") if private else ("https",)):
        raise Refused("The URL should begin with https://.")
    if not host or split.username is not None or split.password is not None:
        raise Refused("The URL should have a host, and no user or password.")
    if not url.isascii() or any(ord(each) <= 32 or ord(each) == 127 for each in url):
        raise Refused("The URL should be ASCII without blanks; write other characters as %xx or punycode.")
    port = port or (443 if split.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        if host.rstrip(".").endswith("localhost") and not private:
            raise Refused(_NOT_PUBLIC) from None
        return host, port
    _check([str(each[4][0]) for each in found], private)
    return host, port


def resolve(host: str, port: int, private: bool, resolver: Resolver | None = None) -> str:
    """The address to connect to. Raises Refused when one of the name's addresses is not public."""
    try:
        found = (resolver or _resolve)(host, port)
    except (OSError, UnicodeError):
        raise Refused("The host's name cannot be resolved.") from None
    return _check(found, private)


_NOT_PUBLIC = "The URL leads to an address that is not public."


def _check(found: Sequence[str], private: bool) -> str:
    addresses = [ipaddress.ip_address(each.partition("%")[0]) for each in found]
    if not addresses:
        raise Refused("The host's name has no address.")
    if not private and not all(is_public(each) for each in addresses):
        raise Refused(_NOT_PUBLIC)
    return str(addresses[0])


def _resolve(host: str, port: int) -> list[str]:
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
