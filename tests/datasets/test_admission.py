"""Whose file is read next, and how many uploads a project has under way."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from app.datasets.admission import Admission
from app.errors import TooManyUploads


def play(scene: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(scene, 10.0)

    asyncio.run(whole())


class Reader:
    """A file that is read until the test says that it is over."""

    def __init__(self, admission: Admission, project: str, log: list[str]) -> None:
        self._admission, self.project, self._log = admission, project, log
        self.over = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._admission.turn(self.project):
            self._log.append(self.project)
            await self.over.wait()

    async def end(self) -> None:
        self.over.set()
        await self.task
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_project_leaves_half_of_the_places_to_others() -> None:
    async def scene() -> None:
        admission, log = Admission(4, 100), []  # type: ignore[var-annotated]
        noisy = [Reader(admission, "noisy", log) for _ in range(20)]
        await settled()
        assert log == ["noisy"] * 2
        quiet = [Reader(admission, "quiet", log) for _ in range(3)]
        await settled()
        assert log[2:] == ["quiet"] * 2
        await noisy[0].end()
        assert log[4:] == ["noisy"]  # quiet has its half
        await quiet[0].end()
        assert log[5:] == ["quiet"]
        for each in [*noisy, *quiet]:
            await each.end()
        assert log.count("noisy") == 20
        assert vars(admission)["_waiting"] == {}
        assert vars(admission)["_reading"] == {}

    play(scene())


def test_who_has_least_is_next_and_then_who_waits_longest() -> None:
    async def scene() -> None:
        admission, log = Admission(2, 100), []  # type: ignore[var-annotated]
        first = [Reader(admission, name, log) for name in ("a", "b")]
        await settled()
        waiting = [Reader(admission, name, log) for name in ("a", "a", "b", "c", "d", "c")]
        await settled()
        assert log == ["a", "b"]
        await first[1].end()
        assert log[2:] == ["b"]  # as a has one, b waits longest of those without
        await first[0].end()
        assert log[3:] == ["a"]
        for each in waiting:
            each.over.set()
        await asyncio.gather(*(each.task for each in waiting))
        assert sorted(log) == sorted("abaabcdc")

    play(scene())


def test_who_goes_away_takes_no_place() -> None:
    async def scene() -> None:
        admission, log = Admission(1, 100), []  # type: ignore[var-annotated]
        first, gone, late = (Reader(admission, "a", log) for _ in range(3))
        await settled()
        gone.task.cancel()
        await settled()
        first.over.set()
        late_too = Reader(admission, "b", log)
        await first.task
        late.task.cancel()  # it may have its turn already
        await settled()
        assert log[-1] == "b"
        await late_too.end()
        assert vars(admission)["_waiting"] == {}
        assert vars(admission)["_reading"] == {}

    play(scene())


def test_a_project_has_so_many_uploads_under_way_and_no_more() -> None:
    admission = Admission(4, 3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(admission.under_way("a"))
        with pytest.raises(TooManyUploads, match="3 uploads") as refused, admission.under_way("a"):
            pass
        assert int(refused.value.headers["Retry-After"]) > 0
        with admission.under_way("b"):
            pass
    with admission.under_way("a"):
        pass
    assert vars(admission)["_under_way"] == {}
