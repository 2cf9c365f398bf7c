"""Python imports this when it starts, where its directory is on the path: writes down what a process does.

A line of JSON in the file of its process id, in ``WATCHED_DIRECTORY``, for each event that a server has
little use for: what is executed, loaded, connected to, written or started, and by which lines of code.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

Told = Callable[..., str | None]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def name_of(path: Any, directory: int = -1) -> str | None:
    if isinstance(path, int):
        return None
    name = os.fsdecode(path)
    if directory != -1 and not name.startswith("/"):
        name = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), name)
    return os.path.abspath(name)


def opened(path: Any, _mode: object, flags: int) -> str | None:
    return name_of(path) if flags & WRITING else None


def renamed(source: Any, target: Any, from_directory: int = -1, to_directory: int = -1) -> str:
    return f"{name_of(target, to_directory)}"


def first(value: Any, *_: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


EVENTS: dict[str, Told] = {
    "pickle.find_class": lambda module, name: f"{module}.{name}",
    "marshal.loads": lambda _content: "",
    "exec": lambda code: str(code.co_filename),
    "compile": lambda _source, filename: "" if filename is None else first(filename),
    "ctypes.dlopen": first,
    "os.system": first,
    "os.exec": first,
    "os.posix_spawn": first,
    "os.fork": lambda: "",
    "os.forkpty": lambda: "",
    "subprocess.Popen": lambda _program, arguments, *_: json.dumps([first(each) for each in arguments]),
    "socket.connect": lambda _socket, address: str(address),
    "socket.sendto": lambda _socket, address: str(address),
    "socket.bind": lambda _socket, address: str(address),
    "socket.getaddrinfo": lambda host, *_: str(host),
    "open": opened,
    "os.mkdir": lambda path, _mode, directory: name_of(path, directory),
    "os.remove": name_of,
    "os.rmdir": name_of,
    "os.truncate": lambda path, _size: name_of(path),
    "os.rename": renamed,
    "os.link": renamed,
    "os.symlink": lambda _source, target, directory: name_of(target, directory),
}


def places() -> list[str]:
    """The innermost lines of code that led to this, the last first."""
    frame: FrameType | None = sys._getframe().f_back
    found: list[str] = []
    while frame is not None and len(found) < 9:
        found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    tell = EVENTS.get(event)
    if tell is not None and (what := tell(*arguments)) is not None:
        line = {"time": time.time(), "event": event, "what": what, "places": places()}
        os.write(notes, json.dumps(line).encode() + b"\n")


directory = os.environ.get("WATCHED_DIRECTORY", "")
if directory:
    path = os.path.join(directory, f"{os.getpid()}.jsonl")
    notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.write(notes, json.dumps(sys.orig_argv).encode() + b"\n")
    sys.addaudithook(watch)  # what is forked later writes into the same file
