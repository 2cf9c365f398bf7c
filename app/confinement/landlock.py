"""Files and ports that a process gives up for good, by Landlock (Linux 5.19 and later).

Of the thread that asks, and of the threads and processes that it starts from then on.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
LEAST_VERSION = 2
"""Version 1 forbids to move a file from one directory to another, always."""

EXECUTE, WRITE, READ, LIST, REMOVE_DIRECTORY, REMOVE = (1 << bit for bit in range(6))
MAKE_DIRECTORY, MAKE, MOVE, TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_FIRST, _OF_FILES = (1 << 13) - 1, EXECUTE | WRITE | READ | TRUNCATE
_BIND, _CONNECT = 1, 2
_SIGNALS_AND_ABSTRACT_SOCKETS = 3

LOOK = READ | LIST
KEEP = LOOK | WRITE | TRUNCATE | MAKE | REMOVE | MAKE_DIRECTORY | REMOVE_DIRECTORY | MOVE
DROP_IN = READ | WRITE | TRUNCATE | MAKE | REMOVE
"""All that one needs in a directory but to see what else is there."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32)]


class _Port(ctypes.Structure):
    _fields_ = [("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def version() -> int:
    """What this kernel knows of Landlock; 0 without it, or where it is turned off."""
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE, None, 0, 1)))


def restrict(allowed: Iterable[tuple[Path, int]], ports: Iterable[int] | None) -> None:
    """Leave of the file system what is ``allowed``, each path with all below it; those that are not there do
    not matter. Leave of TCP connections those to ``ports`` (None: all of them), from version 4 on.

    From version 6 on no other process can be signalled but those that are restricted alike.
    `no_new_privileges` comes first. Raises OSError.
    """
    known = version()
    handled = _FIRST | MOVE | (TRUNCATE if known >= 3 else 0)
    net = _BIND | _CONNECT if known >= 4 and ports is not None else 0
    rules = _Ruleset(handled, net, _SIGNALS_AND_ABSTRACT_SOCKETS if known >= 6 else 0)
    size = 8 if known < 4 else 16 if known < 6 else 24
    ruleset = _call(_CREATE, ctypes.byref(rules), size, 0)
    try:
        for path, rights in allowed:
            _allow(ruleset, path, rights & handled)
        for port in ports or () if net else ():
            _call(_ADD, ruleset, 2, ctypes.byref(_Port(_CONNECT, port)), 0)
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise
    try:
        rule = _Beneath(rights if path.is_dir() else rights & _OF_FILES, place)
        _call(_ADD, ruleset, 1, ctypes.byref(rule), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    came = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if came < 0:
        raise OSError(ctypes.get_errno(), "the kernel does not restrict this process")
    return came
