"""What every answer carries, also those that no application has seen."""

from collections.abc import Iterable

Header = tuple[bytes, bytes]

COMMON: list[Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""An answer's own word goes before: a page says itself what it may load."""

SECURE: list[Header] = [*COMMON, (b"strict-transport-security", b"max-age=31536000")]

_NAMES = frozenset(name for name, _ in SECURE)


def complete(own: Iterable[Header], request_id: bytes, *, secure: bool) -> list[Header]:
    """An answer's own headers and those that it lacks. ``secure``: the client came by TLS."""
    found = [*own, (b"x-request-id", request_id)]
    present = {name for name, _ in found}
    ours = SECURE if secure else COMMON
    if not present.isdisjoint(_NAMES):
        ours = [each for each in ours if each[0] not in present]
    return found + ours
