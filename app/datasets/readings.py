"""Files that are being read, also when whoever sent them has had an answer already."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.audit.acting import acting, current
from app.datasets.admission import Admission
from app.datasets.storing import NOBODY, Reading, Uploads, finishing
from app.errors import ChainruleError
from app.keys.idempotency import AlreadyAnswered, Answered

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
RENEWAL_SECONDS = 5.0


class Readings:
    """Of one process, for its event loop alone.

    Whoever sends a file waits `PATIENCE_SECONDS` for the dataset. What takes longer becomes one that is
    ``processing``, and its file is read on without anybody waiting.
    """

    def __init__(self, uploads: Uploads, admission: Admission, at_once: int) -> None:
        self._uploads = uploads
        self._admission = admission
        self._threads = ThreadPoolExecutor(at_once, "reading")
        self._tasks: set[asyncio.Task[Any]] = set()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create(self, reading: Reading, sent: Callable[[], object]) -> Answered:
        """The answer to whoever sent the file: a dataset that is ready, or one that is being read.

        The file is deleted in the end, whatever comes of it. Raises what `Uploads.store` does.
        """
        try:
            known = await asyncio.to_thread(reading.once.look_up, sent)
        except BaseException:
            reading.file.unlink(missing_ok=True)
            raise
        if known is not None:
            reading.file.unlink(missing_ok=True)
            return known
        task = self._begun(self._read(reading))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not done:
            try:
                answered = await asyncio.to_thread(self._uploads.begin, reading)
            except AlreadyAnswered as earlier:
                return earlier.answered
            if answered is not None:
                self._admission.go_on(reading.principal.project_id, task)
                self._begun(self._renew(reading, task))
                return answered
        found: Answered = await task
        return found

    def _begun(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)  # or nobody holds it
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self, reading: Reading) -> Answered:
        """Raises nothing once the dataset is there: what is wrong is told by it."""
        try:
            async with self._admission.turn(reading.principal.project_id):
                work = partial(contextvars.copy_context().run, self._uploads.store, reading)
                answered: Answered = await asyncio.get_running_loop().run_in_executor(self._threads, work)
                return answered
        except AlreadyAnswered as earlier:
            return earlier.answered
        except Exception as error:
            if not reading.is_begun:
                raise
            await asyncio.to_thread(self._fail, reading, error)
            return NOBODY
        finally:
            reading.file.unlink(missing_ok=True)

    def _fail(self, reading: Reading, error: Exception) -> None:
        if not isinstance(error, ChainruleError):
            log.error("a file could not be read", exc_info=error)
            error = ChainruleError()
        try:
            with acting(finishing(current())):
                self._uploads.fail(reading, error)
        except SQLAlchemyError:  # housekeeping sees that nobody renews its lease
            log.warning("that a dataset has failed could not be written", exc_info=True)

    async def _renew(self, reading: Reading, task: asyncio.Task[Any]) -> None:
        while not task.done():
            await asyncio.wait({task}, timeout=RENEWAL_SECONDS)
            try:
                await asyncio.to_thread(self._uploads.renew, reading)
            except SQLAlchemyError:
                log.warning("the lease of a dataset could not be renewed", exc_info=True)
