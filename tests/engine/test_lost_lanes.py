"""No end of a run leaves a process behind, and a lane that dies ends its run."""

import dataclasses
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from app import engine
from app.engine import lanes
from tests.support.networks import data_of, plan_of

PLAN = plan_of(leaves=4, batch_size=7, epochs=10**9, progress_seconds=0.0)
LANES = 3

pytestmark = pytest.mark.skipif(not lanes.CAN_SHARE, reason="one lane does all here")

ALONE = """
import sys
from app import engine
from tests.engine.test_lost_lanes import LANES, PLAN, children
from tests.support.networks import data_of

how = sys.argv[1]
for number, report in enumerate(engine.train(engine.Snapshot.start(PLAN), data_of(), PLAN, LANES)):
    if number == 3:
        try:  # from here on, for a Ctrl-C may come as soon as the line has
            print(*children(), flush=True)
            how == "busy" or sys.stdin.read()
        except KeyboardInterrupt:
            if how != "patient":
                raise
    if number == 2000 and how == "patient":
        print("went on", flush=True)
        break
"""


def children() -> list[int]:
    return sorted(each.pid for each in psutil.Process().children())


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pids: list[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if not is_gone(pid)]:
        assert time.monotonic() < end, f"{left} are there after {seconds} seconds"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """Zombies count."""
    before = children()
    yield
    gc.collect()
    assert children() == before


def started() -> tuple[Iterator[object], list[int]]:
    """A run in the middle, and its other lanes."""
    before = children()
    reports = engine.train(engine.Snapshot.start(PLAN), data_of(), PLAN, LANES)
    for _ in range(3):
        next(reports)
    others = [pid for pid in children() if pid not in before]
    assert len(others) == LANES - 1
    return reports, others


@pytest.mark.parametrize("which", range(LANES - 1))
def test_a_lane_that_is_killed_ends_the_run(which: int) -> None:
    reports, others = started()
    os.kill(others[which], signal.SIGKILL)
    killed = time.monotonic()
    with pytest.raises(engine.LaneLost):
        deque(reports, maxlen=0)
    assert time.monotonic() < killed + 2
    assert all(not psutil.pid_exists(pid) for pid in others)


@pytest.mark.parametrize("which", range(LANES - 1))
def test_a_lane_that_was_stopped_ends_the_run(which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "SPINS_PER_LOOK", 50)
    monkeypatch.setattr(lanes, "STILL_LOOKS", 20)
    reports, others = started()
    os.kill(others[which], signal.SIGSTOP)
    with pytest.raises(engine.LaneLost, match="stands still"):
        deque(reports, maxlen=0)
    assert all(not psutil.pid_exists(pid) for pid in others)


def test_a_lane_that_takes_its_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it stops again and again, but never for as long as that."""
    monkeypatch.setattr(lanes, "SPINS_PER_LOOK", 50)
    monkeypatch.setattr(lanes, "STILL_LOOKS", 40)
    reports, others = started()

    def hold_up() -> None:
        for _ in range(8):
            os.kill(others[0], signal.SIGSTOP)
            time.sleep(0.15)
            os.kill(others[0], signal.SIGCONT)
            time.sleep(0.01)

    holding = threading.Thread(target=hold_up)
    holding.start()
    while holding.is_alive():
        next(reports)
    next(reports)
    reports.close()  # type: ignore[attr-defined]


def test_a_run_that_is_closed_leaves_nobody() -> None:
    reports, others = started()
    reports.close()  # type: ignore[attr-defined]
    assert all(not psutil.pid_exists(pid) for pid in others)


def test_a_run_that_is_let_go_leaves_nobody() -> None:
    reports, others = started()
    del reports
    gc.collect()
    assert all(not psutil.pid_exists(pid) for pid in others)


def test_a_caller_that_fails_leaves_nobody() -> None:
    others: list[int] = []

    def fail() -> None:
        reports, pids = started()
        others.extend(pids)
        for _ in reports:
            raise KeyError("the caller's own")

    with pytest.raises(KeyError):
        fail()
    gc.collect()
    assert all(not psutil.pid_exists(pid) for pid in others)


def test_a_run_to_its_end_leaves_nobody() -> None:
    before, plan = children(), plan_of(leaves=2)
    reports = list(engine.train(engine.Snapshot.start(plan), data_of(), plan, 2))
    assert isinstance(reports[-1], engine.Finished)
    assert children() == before


def test_a_run_that_cannot_begin_leaves_nobody() -> None:
    """From a step that the plan does not have. The error is kept, and with it all that it was raised in."""
    before, start = children(), engine.Snapshot.start(PLAN)
    reports = engine.train(dataclasses.replace(start, step=4), data_of(), plan_of(leaves=4), LANES)
    with pytest.raises(ValueError, match="not in list") as caught:
        next(reports)
    assert children() == before
    assert isinstance(caught.value, ValueError)


@contextmanager
def alone(how: str) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A process that trains ("busy"), or waits between two reports, in a group of its own; and its lanes."""
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        try:
            assert len(pids) == LANES - 1
            yield process, pids
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["busy", "idle"])
def test_a_process_that_is_killed_takes_its_lanes_along(how: str) -> None:
    with alone(how) as (process, pids):
        process.kill()
        wait_until_gone(pids, 2)


@pytest.mark.parametrize("how", ["busy", "idle"])
def test_a_ctrl_c_to_the_group_leaves_nobody(how: str) -> None:
    with alone(how) as (process, pids):
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
        wait_until_gone(pids, 1)


def test_a_caller_that_takes_a_ctrl_c_can_go_on() -> None:
    with alone("patient") as (process, pids):
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=10)
        assert (output, process.returncode) == ("went on\n", 0)
        wait_until_gone(pids, 1)
