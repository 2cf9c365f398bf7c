"""The versions that the locks name."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package at a version."""

    name: str
    version: str


def pins(locks: Iterable[Path]) -> list[Pin]:
    """Every pin of these files, once each and in order, on whatever platform it is for.

    Raises ValueError for a file without any.
    """
    found: set[Pin] = set()
    for lock in locks:
        here = {Pin(*each) for each in _PIN.findall(lock.read_text())}
        if not here:
            raise ValueError(f"{lock} names no version.")
        found |= here
    return sorted(found)
