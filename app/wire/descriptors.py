"""File descriptors: the operating system's limit, and what connections may have of it."""

import resource
from typing import NamedTuple

ENOUGH = 65_536
BACKLOG = 2_048
"""Connections that may wait until we take them, if there are descriptors for so many."""


class Descriptors(NamedTuple):
    """``connections`` and ``backlog`` together leave a quarter to files, databases and children."""

    connections: int
    backlog: int


def share(most_connections: int) -> Descriptors:
    """Raise this process's limit as far as it may, and divide what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        soft = possible
    if soft == resource.RLIM_INFINITY:
        soft = ENOUGH
    return Descriptors(min(most_connections, soft // 2), min(BACKLOG, soft // 4))
