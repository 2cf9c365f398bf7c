"""The line before SQLite's one writer lock: in order, and never a reason to stand still."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from app.storage.turns import IN_LINE_SECONDS, Turns

HOLD = """
import sys, time
from pathlib import Path
from app.storage.turns import Turns
with Turns(Path(sys.argv[1]), 5.0).turn():
    print("mine", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[bytes]:
    """A process whose turn it is, for as long as it lives."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"mine\n"
    return process


def seconds_until_my_turn(turns: Turns) -> float:
    start = time.monotonic()
    with turns.turn():
        return time.monotonic() - start


def test_who_has_waited_for_long_goes_on_and_the_dead_hold_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "chainrule.sqlite"
    turns = Turns(path, 5.0)
    with holder(path) as other:
        assert seconds_until_my_turn(turns) >= IN_LINE_SECONDS  # it may be stopped, not dead
        assert seconds_until_my_turn(turns) >= IN_LINE_SECONDS
        other.kill()
        other.wait()
        assert seconds_until_my_turn(turns) < IN_LINE_SECONDS / 2
    turns.close()


def test_a_process_that_writes_too_much_is_told_so(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "chainrule.sqlite", 0.1)
    busy, over = threading.Event(), threading.Event()

    def work() -> None:
        with turns.turn():
            busy.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    busy.wait(10)
    with pytest.raises(OperationalError), turns.turn():
        pass
    over.set()
    thread.join()
    turns.close()


def test_without_a_place_for_the_line_everybody_goes_on(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "nowhere" / "chainrule.sqlite", 5.0)
    assert seconds_until_my_turn(turns) < IN_LINE_SECONDS
