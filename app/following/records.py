"""Jobs as clients read them: read and serialised once per change, however many ask."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from app.following.feed import Run
from app.jobs import service
from app.jobs.answers import JobAnswer
from app.keys.service import Principal
from app.storage import lookup
from app.storage.changes import Watch
from app.storage.database import Database
from app.storage.tables import Job

MEMORY_BYTES = 32 * 2**20
JOBS_AT_ONCE = 64

Key = tuple[str, str]
"""A project's id and a job's: another project's job is never found."""

Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A job at one moment; ``mark`` tells for how long it is as it was."""

    status: str
    event_count: int
    body: bytes
    etag: str
    mark: Mark | None


class Records:
    """On SQLite a record is good until the file's next commit, which is looked at for every request. On
    Postgres requests gather, and each is answered by a read that began after it came."""

    def __init__(self, database: Database, watch: Watch, run: Run, max_running: int | None) -> None:
        self._max_running = max_running
        self._database = database
        self._watch = watch
        self._run = run
        self._kept: OrderedDict[Key, Record] = OrderedDict()
        self._size = 0
        self._asking: dict[Key, list[asyncio.Future[Record]]] = {}
        self._reading: asyncio.Task[None] | None = None

    def kept(self, key: Key) -> Record | None:
        """The record if it is known to be as the database has it at this moment."""
        found = self._kept.get(key)
        if found is None or (mark := self._watch.mark()) is None or found.mark != mark:
            return None
        self._kept.move_to_end(key)
        return found

    async def get(self, principal: Principal, job_id: str) -> Record:
        """The job as it is now. Raises NotFound."""
        key = (principal.project_id, job_id)
        record = self.kept(key)
        if record is not None:
            return record
        loop = asyncio.get_running_loop()
        asking: asyncio.Future[Record] = loop.create_future()
        self._asking.setdefault(key, []).append(asking)
        if self._reading is None or self._reading.done():
            self._reading = loop.create_task(self._read_on())
        return await asking

    async def _read_on(self) -> None:
        while self._asking:
            keys = list(islice(self._asking, JOBS_AT_ONCE))
            asking = {key: self._asking.pop(key) for key in keys}
            found: dict[Key, Record | Exception] = {}
            for key in keys:  # read while they were waiting, and still so
                record = self.kept(key)
                if record is not None:
                    found[key] = record
            missing = [key for key in keys if key not in found]
            if missing:
                try:
                    read = await self._run(self._read, missing, self._watch.mark())
                except Exception as error:
                    read = dict.fromkeys(missing, error)
                self._keep(read)
                found |= read
            for key, waiting in asking.items():
                for each in waiting:
                    _answer(each, found[key])

    def _read(self, keys: Sequence[Key], mark: Mark | None) -> dict[Key, Record | Exception]:
        found: dict[Key, Record | Exception] = {}
        with self._database.reading() as session:
            for key in keys:
                project_id, job_id = key
                try:
                    job = lookup.get(session, Job, project_id, job_id, "job_id")
                    answer = JobAnswer.model_validate(service.answer(session, job, self._max_running))
                except SQLAlchemyError:
                    raise
                except Exception as error:  # the others' jobs are as good as ever
                    found[key] = error
                    continue
                body = answer.model_dump_json().encode()
                etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                found[key] = Record(job.status, job.event_count, body, etag, mark)
        return found

    def _keep(self, read: dict[Key, Record | Exception]) -> None:
        for key, record in read.items():
            old = self._kept.pop(key, None)
            self._size -= 0 if old is None else len(old.body)
            if isinstance(record, Record) and record.mark is not None:
                self._kept[key] = record
                self._size += len(record.body)
        while self._size > MEMORY_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.body)


def _answer(asking: asyncio.Future[Record], found: Record | Exception) -> None:
    if asking.done():  # its client has gone
        return
    if isinstance(found, Exception):
        asking.set_exception(found)
    else:
        asking.set_result(found)
