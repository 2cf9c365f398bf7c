"""The process that parses one upload: `python -m app.datasets.child DIRECTORY`. It serves one request.

It gives up most of what it may do before it has a second thread: what remains are files in the directory that
it is told by name. It has imported what it needs before it reads its request, one line of JSON, from standard
input, and answers with one JSON document on standard output.
"""

import errno
import json
import os
import re
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import logs
from app.confinement import confine
from app.errors import InvalidDataset, TooLarge

Verbs = dict[str, Callable[..., dict[str, object]]]
"""Functions of a request's path, its directory and its arguments."""


def serve(directory: Path, more: Callable[[], Verbs] = dict) -> None:
    """``more``: verbs beyond those of `_answer`, which are imported behind the walls."""
    confine(drop_in=[directory])
    from app.datasets import parsing  # Polars has threads, and not all walls are around those that are there

    verbs = more()
    parsing.rehearse()
    line = sys.stdin.buffer.readline()
    if line:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        answer = _answer(json.loads(line), verbs)
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
        sys.stdout.buffer.flush()
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
        match _os_error(error):
            case errno.EFBIG:
                return {"exhausted": "space"}
            case errno.ENOSPC | errno.EDQUOT:
                return {"full": True}
        return {"crashed": logs.traceback_of(error)}


def _os_error(error: Exception) -> int | None:
    """The system's error number; Polars and safetensors tell it only in their messages."""
    told = re.search(r"\(os error ([0-9]+)\)", str(error))
    return error.errno if isinstance(error, OSError) and error.errno else told and int(told[1])


def _limit(memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Limits that a process cannot take back."""
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
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
    serve(Path(sys.argv[1]))
