"""A line for each request."""

import asyncio
import json
import re
import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from select import PIPE_BUF

from starlette.types import Scope

from app import logs

LATE_SECONDS = 0.02
_ID = re.compile(r"[a-z]+_[0-9a-z]{24}")


class RequestLines:
    """Of a path only its route is told, and ids that are of ours: a client may have put anything into the
    rest. ``as_text``: for people.

    The lines are made here, for a fifth of what `logging` takes, and written a few at a time: whoever reads
    them is woken up by each write, which takes as long as the line itself. Belongs to one event loop.
    """

    def __init__(self, as_text: bool) -> None:
        self.as_text = as_text
        self._waiting: list[str] = []
        self._size = 0
        self._to_be_flushed = False

    def write(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        """A line for a request that is over: ``size`` in bytes; ``status`` 0 where it was not answered.

        It is in the log within `LATE_SECONDS`.
        """
        line = self._line(scope, status, size, 1000 * seconds)
        if self._size + len(line) >= PIPE_BUF:
            self.flush()
        self._waiting.append(line)
        self._size += len(line) + 1
        if not self._to_be_flushed:
            self._to_be_flushed = True
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._flush_in_time)

    def _flush_in_time(self) -> None:
        self._to_be_flushed = False
        self.flush()

    def flush(self) -> None:
        """Write the lines that wait; to be called at the end."""
        if self._waiting:
            lines = "\n".join(self._waiting)
            self._waiting, self._size = [], 0
            logs.write(lines)

    def _line(self, scope: Scope, status: int, size: int, milliseconds: float) -> str:
        state, moment = scope["state"], time.time()
        what = scope["method"], getattr(scope.get("route"), "path_format", ""), status
        when = f"{_second(int(moment))}.{int(1000 * (moment % 1)):03d}Z"
        principal, client = state.get("principal"), scope.get("client")
        request_id, key_id = state.get("request_id", ""), "" if principal is None else principal.key_id
        ids = [each for each in scope.get("path_params", {}).items() if _ID.fullmatch(str(each[1]))]
        if self.as_text:
            ids = [("request_id", request_id), ("key_id", key_id), *ids]
            known = "".join(f" {name}={value}" for name, value in ids if value)
            route = what[1] or "(no route)"
            line = (
                f"{when} INFO app.requests: {what[0]} {route} {status} {milliseconds:.1f} ms {size} B{known}"
            )
            return logs.printable(line)
        known = "".join([f', "{name}": "{value}"' for name, value in ids])
        return (
            f'{{"time": "{when}", {_what(*what)}, "milliseconds": {milliseconds:.3f}, "bytes": {size}, '
            f'"request_id": {quoted(request_id)}, "key_id": {quoted(key_id)}, '
            f'"client": {quoted(client[0] if client else "")}{known}}}'
        )


@lru_cache(1)
def _second(seconds: int) -> str:
    return logs.moment(seconds).partition(".")[0]


@lru_cache(1024)
def _what(method: str, route: str, status: int) -> str:
    fields = {
        "level": "INFO",
        "logger": "app.requests",
        "message": f"{method} {route or '(no route)'} {status}",
        "process": "api",
        "method": method,
        "route": route,
        "status": status,
    }
    return json.dumps(fields)[1:-1]
