"""The process that forks parsers, and they themselves: `python -m app.datasets.child DIRECTORY`.

It has imported what they need, which takes most of the time that a small file takes, and gives up what it
does not need itself; it reads no file. Each of its children serves one request. It gives up most of what it
may do while it has one thread: what remains are files in the directory that it is told by name. Then it reads
its request, one line of JSON, from standard input, and answers with one JSON document on standard output.
"""

import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from app import logs
from app.confinement import confine, die_with
from app.datasets.system import number_of
from app.errors import InvalidDataset, TooLarge

Verbs = dict[str, Callable[..., dict[str, object]]]
"""Functions of a request's path, its directory and its arguments."""


def main(directory: Path, more: Callable[[], Verbs] = dict) -> None:
    """Fork a child for each pair of sockets that comes through standard input, until that ends.

    Through the first a child speaks; when the other end of the second, its leash, is let go, it is killed,
    and told by which signal it died, 0 for none.
    ``more``: verbs beyond those of `_answer`, which are imported behind the walls.
    """
    confine(drop_in=[directory], processes=True)
    from app.datasets import parsing

    verbs = more()
    gc.collect()
    gc.freeze()  # or each collection of a child would copy all that it shares with us
    channel = socket.socket(fileno=os.dup(0))
    leashes: dict[int, tuple[socket.socket, int]] = {}
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    while True:
        for descriptor, _ in waiting.poll():
            if descriptor in leashes:
                waiting.unregister(descriptor)
                leash, pid = leashes.pop(descriptor)
                os.kill(pid, signal.SIGKILL)  # dead or alive: it is ours until we have waited for it
                _, status = os.waitpid(pid, 0)
                with suppress(OSError):  # nobody may be there to hear it
                    os.write(leash.fileno(), bytes([os.WTERMSIG(status)]))
                leash.close()
                continue
            word, descriptors, *_ = socket.recv_fds(channel, 1, 2)
            if not word:
                os._exit(0)  # the children die with us
            talk, leash = (socket.socket(fileno=each) for each in descriptors)
            try:
                parent, pid = os.getpid(), os.fork()
            except OSError:  # no memory for it, or too many processes: who asked sees that nobody came
                talk.close()
                leash.close()
                continue
            if pid == 0:
                die_with(parent)
                os.setsid()
                for each in (channel, leash, *(held for held, _ in leashes.values())):
                    each.close()
                os.dup2(talk.fileno(), 0)
                os.dup2(talk.fileno(), 1)
                talk.close()
                serve(directory, parsing.rehearse, verbs)
            talk.close()
            leashes[leash.fileno()] = leash, pid
            waiting.register(leash, select.POLLIN)


def serve(directory: Path, rehearse: Callable[[], None], verbs: Verbs) -> NoReturn:
    """The life of a child. Polars, which has threads, comes to life in it and not before."""
    try:
        confine(drop_in=[directory])
        rehearse()
        sys.stdout.buffer.write(b"%d\n" % os.getpid())  # it is ready
        sys.stdout.buffer.flush()
        line = sys.stdin.buffer.readline()
        if line:
            threading.Thread(target=_end_with_parent, daemon=True).start()
            answer = _answer(json.loads(line), verbs)
            sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
            sys.stdout.buffer.flush()
    finally:
        os._exit(0)  # the destructors of a large table take time, and nobody needs them


def _answer(request: dict[str, Any], more: Verbs) -> dict[str, object]:
    from app.datasets import parsing

    _limit(request["memory_bytes"], request["cpu_seconds"], request["file_bytes"])
    try:
        path, directory = Path(request["path"]), Path(request["directory"])
        if request["verb"] in more:
            return {"done": more[request["verb"]](path, directory, **request["arguments"])}
        if request["verb"] == "rebuild":
            return {"done": parsing.rebuild(path, directory)}
        if request["verb"] == "retype":
            return {"done": parsing.retype(path, directory, **request["arguments"])}
        return {"done": parsing.parse(path, directory, **request["arguments"])}
    except (InvalidDataset, TooLarge) as error:
        return {
            "refused": error.code,
            "detail": error.detail,
            "faults": [asdict(fault) for fault in error.faults],
        }
    except MemoryError:
        return {"exhausted": "memory"}
    except Exception as error:
        match number_of(error):
            case errno.EFBIG:
                return {"exhausted": "space"}
            case errno.ENOSPC | errno.EDQUOT:
                return {"full": True}
        return {"crashed": logs.traceback_of(error)}


def _limit(memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Limits that a process cannot take back."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))  # at the second it is SIGKILL
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(65_536):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
