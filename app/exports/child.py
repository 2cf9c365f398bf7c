"""The process that writes one export or reads one import: `python -m app.exports.child DIRECTORY`.

It gives up most of what it may do first: what remains are files in the directory that it is told by name. The
request is one line of JSON on standard input, the answer one document of JSON on standard output.
"""

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import logs
from app.confinement import confine
from app.errors import ChainruleError


def serve(directory: Path) -> None:
    line = sys.stdin.buffer.readline()
    confine(drop_in=[directory])
    answer = _answer(json.loads(line))
    sys.stdout.buffer.write(json.dumps(answer, allow_nan=False).encode())
    sys.stdout.buffer.flush()
    os._exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_seconds"],) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    try:
        from app.exports import work

        return {"done": work.WORK[request["verb"]](request)}
    except ChainruleError as error:
        faults = [asdict(fault) for fault in error.faults]
        return {"refused": type(error).__name__, "detail": error.detail, "faults": faults}
    except MemoryError:
        return {"exhausted": "memory"}
    except OSError as error:
        return {"failed": error.errno, "crashed": logs.traceback_of(error)}
    except Exception as error:
        return {"crashed": logs.traceback_of(error)}


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
