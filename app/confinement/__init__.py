"""What a process gives up for good, so that whoever takes it over gains little; see docs/security.md."""

import contextlib
import ctypes
import logging
import os
import re
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from app.confinement import landlock, seccomp

log = logging.getLogger(__name__)

MODE = "CHAINRULE_CONFINEMENT"
"""A setting that also children read for themselves: a parser is told no other."""

ROOT = Path(__file__).parents[2]
SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/sys"),
    *("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/sys"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)
NETWORK = tuple(map(Path, ("/etc", "/run/systemd/resolve", "/run/nscd")))
"""Where a program looks that is to find a host by its name, and to trust it."""

_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38


def shed() -> None:
    """No privileges by setuid programs (Linux), and no core file: it would hold keys. Children inherit it."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def bare_environment() -> dict[str, str]:
    """For a Python that is told no setting and no secret, and has one thread for BLAS."""
    environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
    for name in ("LD_LIBRARY_PATH", MODE):  # some Pythons do not start without the first
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux only).

    ``parent`` is that thread's process, which may have gone before we could ask.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def lacking() -> list[str]:
    """What this kernel cannot keep parsers and trainers from."""
    linux = sys.platform == "linux"
    missing = []
    if not (linux and seccomp.is_available()):
        missing.append("sockets and processes (seccomp)")
    known = landlock.version() if linux else 0
    if known < landlock.LEAST_VERSION:
        missing.append("files (Landlock)")
    return missing


def confine(
    *,
    read: Iterable[Path] = (),
    keep: Iterable[Path] = (),
    drop_in: Iterable[Path] = (),
    families: Iterable[int] = (),
    ports: Iterable[int] | None = (),
    processes: bool = False,
) -> None:
    """Leave this process, as far as the kernel can: of the file system Python and its libraries and ``read``
    to look at, ``keep`` to change, ``drop_in`` to read and write what it knows by name; sockets of these
    families, to these TCP ports (None: all); with ``processes`` forks, and Python as the one program.

    To be called while there is one thread. Does nothing on other systems than Linux. A wall that cannot be
    raised is told and left out, but where the setting says `required`: then OSError.
    """
    shed()
    if os.environ.get(MODE) == "off" or sys.platform != "linux":
        return
    if landlock.version() >= landlock.LEAST_VERSION:
        allowed = [(path, landlock.LOOK) for path in (*_pythons(), *map(Path, SYSTEM), *read)]
        allowed.append((Path(os.devnull), landlock.READ | landlock.WRITE))
        allowed += [(path, landlock.KEEP) for path in keep]
        allowed += [(path, landlock.DROP_IN) for path in drop_in]
        if processes:
            allowed += [(path, landlock.READ | landlock.EXECUTE) for path in _programs()]
            allowed.append((ROOT, landlock.LIST))  # or a new Python does not find this program
        _raise(partial(landlock.restrict, allowed, ports))
    if seccomp.is_available():
        _raise(partial(seccomp.refuse, families=families, processes=processes))


def _raise(wall: Callable[[], None]) -> None:
    try:
        wall()
    except OSError as error:
        if os.environ.get(MODE) == "required":
            raise
        log.warning("a wall is left out: %s", error)


def _pythons() -> list[Path]:
    """Where this Python, its libraries and this program are."""
    prefixes = {Path(each) for each in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)}
    places = {prefix / name for prefix in prefixes for name in ("bin", "lib", "lib64", "pyvenv.cfg")}
    places |= {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        places |= {Path(each) for each in os.environ.get(name, "").split(os.pathsep) if each}
    if (ROOT / "pyproject.toml").exists():  # who starts a server in a checkout has its data there
        places = (places | {ROOT / "app"}) - {ROOT}
    return [*places]


def _programs() -> list[Path]:
    """This Python, and the loader that the kernel starts it with."""
    python = Path(sys.executable).resolve()
    with python.open("rb") as file:
        loader = re.search(rb"/[^\0]*/ld-[^\0]*\.so[^\0]*(?=\0)", file.read(65_536))
    return [python, *([Path(loader[0].decode()).resolve()] if loader else [])]
