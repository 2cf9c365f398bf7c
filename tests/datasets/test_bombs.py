"""Small files that would be large, or are none of their kind: refused at once, and in bounded memory."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.datasets.jail import Jail
from app.errors import ChainruleError
from tests.support.bombs import BOMBS

CPU_SECONDS = 1.0
MEMORY_BYTES = 512 << 20
"""Of the child, which takes 100 MB with nothing to read."""


class Peak(threading.Thread):
    """The most resident memory of any reader that this process has started, while it runs.

    Between its fork and its exec a child has the memory of this process.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.wait(0.005):
            for child in me.children(recursive=True):
                try:
                    if "app.datasets.child" in child.cmdline():
                        self.bytes = max(self.bytes, child.memory_info().rss)
                except psutil.Error:
                    continue


@pytest.fixture(scope="module")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jail]:
    jail = Jail(tmp_path_factory.getbasetemp())
    yield jail
    jail.close()


def seconds_of_children(jail: Jail) -> float:
    """Of those that have ended, as the process that forked them has heard when it waited for them."""
    process = jail._nursery._process
    assert process
    times: Any = psutil.Process(process.pid).cpu_times()
    return float(times.children_user + times.children_system)


@pytest.fixture(scope="module")
def idle(jail: Jail, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds of the processor that a child takes to start and to refuse next to nothing."""
    directory = tmp_path_factory.mktemp("idle")
    (directory / "upload").write_bytes(b"a,b\n")
    before = seconds_of_children(jail)
    with pytest.raises(ChainruleError):
        jail.parse(directory / "upload", directory)
    return seconds_of_children(jail) - before


def test_there_are_enough_of_them() -> None:
    assert len(BOMBS) >= 40


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(jail: Jail, idle: float, tmp_path: Path, name: str) -> None:
    (tmp_path / "upload").write_bytes(BOMBS[name]())
    peak, before, start = Peak(), seconds_of_children(jail), time.monotonic()
    peak.start()
    try:
        with pytest.raises(ChainruleError) as caught:
            jail.parse(tmp_path / "upload", tmp_path)
    finally:
        peak.over.set()
        peak.join()
    took = seconds_of_children(jail) - before - idle
    print(f"{name}: {took:.2f} s, {time.monotonic() - start:.2f} s in all, {peak.bytes >> 20} MiB")
    assert caught.value.status in (413, 422)
    assert caught.value.faults[0].code not in ("parse_limit",), name
    assert took <= CPU_SECONDS, name
    assert peak.bytes <= MEMORY_BYTES, name
