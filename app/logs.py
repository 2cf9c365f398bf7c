"""Log lines of every process: JSON objects on standard error, without users' values or keys.

What an exception says may quote a cell or a parameter. Of most only the class and the lines of code are told:
see `traceback_of`. Messages are ours: they hold ids, numbers of our own and names of classes.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TextIO

_NOTHING: Mapping[str, Any] = MappingProxyType({})
KNOWN = ContextVar("what log lines say of the work at hand", default=_NOTHING)
"""Its `NAMES`, and ``principal``, whose key it is, are added to each line."""

NAMES = ("request_id", "job_id", "worker", "key_id")
LIBRARIES = {"uvicorn": logging.WARNING, "alembic": logging.WARNING, "httpx": logging.WARNING}
MOST_TEXT = 16_000
"""Characters of a message or a traceback."""

SQLITE = ("sqlite3", "pysqlite3.dbapi2", "pysqlite3._sqlite3")


def configure(form: str, process: str, worker: str | None = None) -> None:
    """Log as ``json`` or as ``text``; ``auto`` is text where standard error is a terminal.

    Also what Python itself would print: warnings, and exceptions that nobody caught.
    """
    always: dict[str, object] = {"process": process, "pid": os.getpid()}
    if worker is not None:
        always["worker"] = worker
    handler = _Lines()
    handler.setFormatter(_Text() if is_text(form) else _Json(always))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in LIBRARIES.items():
        logging.getLogger(name).setLevel(level)
    logging.raiseExceptions = False  # it would print what could not be formatted
    warnings.showwarning = _warn
    sys.excepthook = _end
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_end


def is_text(form: str) -> bool:
    """Whether lines of that form are text here."""
    return form == "text" or (form == "auto" and sys.stderr is not None and sys.stderr.isatty())


def traceback_of(error: BaseException) -> str:
    """The lines of code of an exception and of its causes, and what each says where that quotes nobody."""
    lines = "".join(_lines(error, set()))
    return lines if len(lines) <= MOST_TEXT else f"…{lines[-MOST_TEXT:]}"


def moment(seconds: float) -> str:
    """A time as RFC 3339 has it, in UTC and to the millisecond."""
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int(1000 * (seconds - whole)):03d}Z"


def write(line: str) -> None:
    """Write a line whole: those of other processes in the same file do not come between."""
    left = line.encode("utf-8", "backslashreplace") + b"\n"
    with contextlib.suppress(OSError):
        while left:
            left = left[os.write(2, left) :]


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:
            record.msg, record.args, record.exc_info = f"{record.msg} [{type(error).__name__}]", (), None
            line = self.format(record)
        write(line)


class _Json(logging.Formatter):
    def __init__(self, always: Mapping[str, object]) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **self._always,
            **_known(record),
        }
        if trace := _traceback(record):
            line["traceback"] = trace
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        known = "".join(f" {name}={value}" for name, value in _known(record).items())
        head = f"{moment(record.created)} {record.levelname} {record.name}: {_message(record)}{known}"
        trace = _traceback(record)
        return printable(head) + (f"\n{trace.rstrip()}" if trace else "")


def printable(text: str) -> str:
    """The text on one line, and without what a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.name == "asyncio":  # further lines describe a task by what its exception says
        message = message.partition("\n")[0]
    return message[:MOST_TEXT]


def _known(record: logging.LogRecord) -> dict[str, object]:
    found = {**KNOWN.get(), **record.__dict__}
    known = {name: found[name] for name in NAMES if found.get(name) is not None}
    if (principal := found.get("principal")) is not None:
        known["key_id"] = principal.key_id
    return known


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[1] is not None:
        return traceback_of(record.exc_info[1])
    told: str = record.__dict__.get("traceback", "")
    return told


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        yield from _lines(cause, seen)
        yield "\nthen:\n\n"
    yield from traceback.format_tb(error.__traceback__)
    said = _said(error)
    yield f"{type(error).__module__}.{type(error).__qualname__}{said and ': '}{said}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if id(each) not in seen:
                yield from _lines(each, seen)


def _said(error: BaseException) -> str:
    """An exception's own words, of those that speak of the system and of our code."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    if isinstance(error, ImportError) or type(error).__module__ in SQLITE:
        return printable(str(error))
    if (state := getattr(error, "sqlstate", None)) is not None:
        return f"SQLSTATE {state}"  # its text may quote what was sent
    if type(error).__module__.startswith("psycopg") and type(error).__name__ == "OperationalError":
        return printable(str(error))  # without a state there was no session: it tells why
    return ""


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("py.warnings").warning("%s at %s:%d", category.__name__, filename, lineno)


def _end(_kind: object, error: BaseException, _trace: object) -> None:
    if isinstance(error, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("the process ends: nobody caught an exception", exc_info=error)


def _thread_end(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = "of unknown name" if ended.thread is None else ended.thread.name
        logging.getLogger(__name__).error("the thread %s ended", name, exc_info=ended.exc_value)


def _unraisable(ignored: Any) -> None:
    logging.getLogger(__name__).error("an exception was ignored", exc_info=ignored.exc_value)
