"""Jobs as clients read them: read and serialised once per change, however many ask."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextvars import Context
from dataclasses import dataclass
from itertools import groupby, islice

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.following.feed import MOST_PAUSE_SECONDS, Run
from app.jobs import service
from app.jobs.answers import JobAnswer
from app.jobs.states import State
from app.keys.service import Principal
from app.storage import lookup
from app.storage.changes import Watch
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.scope import within
from app.storage.tables import Job

_jobs = core(Job)
VERSIONS = sa.select(
    _jobs.c.id, sa.literal_column("jobs.xmin::text || jobs.ctid::text", sa.Text).label("version")
).where(
    _jobs.c.project_id == sa.bindparam("project"),
    _jobs.c.id.in_(sa.bindparam("jobs", expanding=True)),
    _jobs.c.status != State.QUEUED,  # its place in the line depends on the others
)

MEMORY_BYTES = 32 * 2**20
JOBS_AT_ONCE = 64

Key = tuple[str, str]
"""A project's id and a job's: another project's job is never found."""

Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A job at one moment; ``mark`` (SQLite) or ``row`` (Postgres) tells for how long it is as it was."""

    status: str
    event_count: int
    body: bytes
    etag: str
    mark: Mark | None
    row: str | None


class Records:
    """On SQLite a record is good until the file's next commit, which is looked at for every request. On
    Postgres requests gather, and each is answered by a read that began after it came; a record is good for as
    long as that finds the row's own version. No answer is older than its question.
    """

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
            self._reading = loop.create_task(self._read_on(), context=Context())  # for everybody
        return await asking

    async def _read_on(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asking:
            keys = list(islice(self._asking, JOBS_AT_ONCE))
            asking = {key: self._asking.pop(key) for key in keys}
            found: dict[Key, Record | Exception] = {}
            for key in keys:  # read while they were waiting, and still so
                record = self.kept(key)
                if record is not None:
                    found[key] = record
            missing = {key: self._kept.get(key) for key in keys if key not in found}
            begun = loop.time()
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
            if not self._database.is_sqlite:  # more of them gather while others have the processor
                await asyncio.sleep(min(MOST_PAUSE_SECONDS, 3 * (loop.time() - begun)))

    def _read(self, keys: Mapping[Key, Record | None], mark: Mark | None) -> dict[Key, Record | Exception]:
        found: dict[Key, Record | Exception] = {}
        by_project = groupby(sorted(keys), key=lambda key: key[0])
        for project_id, theirs in by_project:
            with within(project_id):
                found |= self._read_of({key: keys[key] for key in theirs}, mark)
        return found

    def _read_of(self, keys: Mapping[Key, Record | None], mark: Mark | None) -> dict[Key, Record | Exception]:
        found: dict[Key, Record | Exception] = {}
        with self._database.reading() as session:
            rows = self._rows(session, keys)
            for key, known in keys.items():
                project_id, job_id = key
                row = rows.get(job_id)
                if known is not None and known.row is not None and known.row == row:
                    found[key] = known
                    continue
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
                found[key] = Record(job.status, job.event_count, body, etag, mark, row)
        return found

    def _rows(self, session: Session, keys: Collection[Key]) -> dict[str, str]:
        """By id the version of each job's row on Postgres, where the answer depends on no other row."""
        if self._database.is_sqlite:
            return {}
        (project_id,) = {each[0] for each in keys}
        asked = {"project": project_id, "jobs": [job_id for _, job_id in keys]}
        return {each.id: each.version for each in session.execute(VERSIONS, asked)}

    def _keep(self, read: dict[Key, Record | Exception]) -> None:
        for key, record in read.items():
            old = self._kept.pop(key, None)
            self._size -= 0 if old is None else len(old.body)
            if isinstance(record, Record) and (record.mark or record.row):
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
