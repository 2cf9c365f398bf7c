"""What log lines say, what they never say, and that nobody can forge one."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import logs
from app.logs import KNOWN

SECRET = "a cell's value, 271828.1828459"
log = logging.getLogger("app.of_a_test")


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., list[str]]]:
    """Configures logging in that form, and returns the lines since."""
    root, hooks = logging.getLogger(), (sys.excepthook, sys.unraisablehook, warnings.showwarning)
    handlers, level, thread_hook = root.handlers[:], root.level, threading.excepthook

    def lines(form: str = "json") -> list[str]:
        logs.configure(form, "a test", "wrk_of_a_test")
        return capfd.readouterr().err.splitlines()

    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = True
    sys.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    threading.excepthook = thread_hook


def only(lines: list[str]) -> dict[str, Any]:
    (line,) = lines
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_is_an_object_that_says_who_and_at_what(logged: Callable[..., list[str]]) -> None:
    logged()
    KNOWN.set({"request_id": "r1", "principal": SimpleNamespace(key_id="key_1"), "abort": print})
    try:
        log.warning("%d jobs wait", 3, extra={"job_id": "job_1", "param": SECRET})
    finally:
        KNOWN.set({})
    line = only(logged())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "app.of_a_test",
        "message": "3 jobs wait",
        "process": "a test",
        "pid": os.getpid(),
        "worker": "wrk_of_a_test",
        "request_id": "r1",
        "key_id": "key_1",
        "job_id": "job_1",
    }


FORGED = 'harmless\n{"level": "ERROR", "message": "forged"}\r\x1b[2J\x85\u2028forged'


def test_a_new_line_in_a_value_makes_no_line(logged: Callable[..., list[str]]) -> None:
    logged()
    log.warning("it is called %s", FORGED)
    assert only(logged("text"))["message"] == f"it is called {FORGED}"
    log.warning("it is called %s", FORGED)
    (line,) = logged()
    assert line.isprintable()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_has_the_lines_of_code_and_no_value(logged: Callable[..., list[str]], form: str) -> None:
    logged(form)
    try:
        try:
            float(SECRET)
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError:
        log.exception("it failed")
    text = "\n".join(logged())
    if form == "json":
        text = json.loads(text)["traceback"]
    assert "float(SECRET)" in text
    assert "builtins.ValueError\n" in text
    assert "builtins.KeyError" in text
    assert SECRET not in text


def test_groups_are_told_whole(logged: Callable[..., list[str]]) -> None:
    logged()
    log.error("several", exc_info=ExceptionGroup(SECRET, [ValueError(SECRET), OSError(28, SECRET)]))
    line = only(logged())
    assert SECRET not in json.dumps(line)
    assert "builtins.ValueError" in line["traceback"]
    assert "[Errno 28] No space left on device" in line["traceback"]


class Told(Exception):
    """As psycopg's with a state, whose text quotes what was sent."""

    sqlstate = "22P02"


def test_databases_say_what_is_wrong_but_not_with_what(logged: Callable[..., list[str]]) -> None:
    import sqlite3

    logged()
    log.error("one", exc_info=Told(SECRET))
    assert "SQLSTATE 22P02" in only(logged())["traceback"]
    log.error("one", exc_info=sqlite3.OperationalError("database is locked"))
    assert "database is locked" in only(logged())["traceback"]


def test_warnings_and_what_nobody_caught_are_lines(logged: Callable[..., list[str]]) -> None:
    logged()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("json", "a test")  # the block above has its own way to show warnings
        warnings.warn(SECRET, RuntimeWarning, stacklevel=1)
    assert only(logged())["message"].startswith("RuntimeWarning at ")
    thread = threading.Thread(target=lambda: float(SECRET), name="a thread")
    thread.start()
    thread.join()
    line = only(logged())
    assert line["message"] == "the thread a thread ended"
    assert "builtins.ValueError" in line["traceback"]


def test_a_process_that_ends_by_an_exception_says_so_in_json() -> None:
    code = "from app import logs; logs.configure('auto', 'x'); float('a value')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    line = only(ended.stderr.splitlines())
    assert (line["level"], line["process"]) == ("CRITICAL", "x")
    assert "builtins.ValueError" in line["traceback"]
    assert "a value" not in line["traceback"].replace("float('a value')", "")


def test_asyncio_s_own_words_on_tasks_are_cut(logged: Callable[..., list[str]]) -> None:
    logged()
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %s", SECRET)
    assert only(logged())["message"] == "Task exception was never retrieved"


def test_what_cannot_be_formatted_is_still_a_line(logged: Callable[..., list[str]]) -> None:
    logged()
    log.error("%d jobs", SECRET)
    assert only(logged())["message"] == "%d jobs [TypeError]"


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    code = (
        "import logging; from app import logs; logs.configure('json', 'x');"
        "[logging.getLogger('a').warning('%s', 'long' * 3000) for _ in range(50)]"
    )
    with (tmp_path / "log").open("ab") as file, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(subprocess.Popen([sys.executable, "-c", code], stderr=file))
    lines = (tmp_path / "log").read_text().splitlines()
    assert [len(json.loads(line)["message"]) for line in lines] == [12_000] * 150
