"""Who may upload now, and whose file is read next: no project keeps others waiting behind its own files."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from app.errors import TooManyUploads


class Admission:
    """Of one process, for its event loop alone.

    At most ``at_once`` files are read at once, half of them (rounded up) of one project, and a project has at
    most ``of_project`` uploads under way: received, waiting or read.
    """

    def __init__(self, at_once: int, of_project: int) -> None:
        self._at_once = at_once
        self._share = -(-at_once // 2)
        self._of_project = of_project
        self._under_way: Counter[str] = Counter()
        self._reading: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @contextmanager
    def under_way(self, project_id: str) -> Iterator[None]:
        """An upload, from before its body is received. Raises TooManyUploads."""
        if self._under_way[project_id] >= self._of_project:
            raise TooManyUploads(
                f"{self._of_project} uploads of this project are under way, the most of one project."
            )
        with _counted(self._under_way, project_id):
            yield

    def go_on(self, project_id: str, task: "asyncio.Task[Any]") -> None:
        """An upload whose sender has had an answer is under way until its task is done."""
        self._under_way[project_id] += 1
        task.add_done_callback(lambda _: _less(self._under_way, project_id))

    @asynccontextmanager
    async def turn(self, project_id: str) -> AsyncIterator[None]:
        """Wait until the project's next file may be read, and let it be read for as long as the block runs.

        Of the projects that wait, the one with the fewest files being read is next; then, who waits longest.
        """
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, deque()).append(mine)
        self._admit()
        try:
            await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                self._leave(project_id)  # it was its turn, but nobody is there any more
            else:
                self._forget(project_id, mine)
            raise
        try:
            yield
        finally:
            self._leave(project_id)

    def _leave(self, project_id: str) -> None:
        _less(self._reading, project_id)
        self._admit()

    def _admit(self) -> None:
        while self._reading.total() < self._at_once:
            may = [each for each in self._waiting if self._reading[each] < self._share]
            if not may:
                return
            project_id = min(may, key=self._reading.__getitem__)  # of equals, who has waited since before
            theirs = self._waiting.pop(project_id)
            first = theirs.popleft()
            if theirs:
                self._waiting[project_id] = theirs  # behind the others that wait
            if not first.done():  # or whoever waited has gone
                self._reading[project_id] += 1
                first.set_result(None)

    def _forget(self, project_id: str, gone: asyncio.Future[None]) -> None:
        left = deque(each for each in self._waiting.pop(project_id, ()) if each is not gone)
        if left:
            self._waiting[project_id] = left


@contextmanager
def _counted(counter: Counter[str], project_id: str) -> Iterator[None]:
    counter[project_id] += 1
    try:
        yield
    finally:
        _less(counter, project_id)


def _less(counter: Counter[str], project_id: str) -> None:
    counter[project_id] -= 1
    if not counter[project_id]:
        del counter[project_id]
