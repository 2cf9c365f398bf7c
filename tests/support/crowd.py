"""A crowd of processes on one SQLite file: ``python -m tests.support.crowd URL write|read SECONDS JOB``.

Each says when it is ready, and begins when it is spoken to; then it prints the seconds that each transaction
took, and the errors that its caller saw, as one line of JSON.
"""

import json
import sys
import time
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.tables import Job, Project


class Taken(NamedTuple):
    """``wrong``: increments that were lost, or views that were not one moment's."""

    seconds: list[float]
    errors: list[str]
    wrong: int


def write(database: Database, job_id: str) -> int:
    """Read, then write: the order that fails where a transaction has not said that it will write."""
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        job.priority += 1
        session.flush()
        after = session.scalar(sa.select(Job.priority).where(Job.id == job_id))
        return int(after != job.priority)


def read(database: Database, _: str) -> int:
    with database.reading() as session:
        statement = sa.select(sa.func.sum(Job.priority))
        first = session.scalar(statement)
        session.scalar(sa.select(sa.func.count()).select_from(Project))
        return int(session.scalar(statement) != first)


def run(url: str, what: str, seconds: float, job_id: str) -> Taken:
    database = Database(url, 2)
    taken: list[float] = []
    errors: list[str] = []
    wrong = 0
    with database.reading() as session:
        session.scalar(sa.select(Job.id))
    print("ready", flush=True)
    sys.stdin.readline()
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        start = time.monotonic()
        try:
            wrong += (write if what == "write" else read)(database, job_id)
        except Exception as error:  # the test reports it
            errors.append(repr(error))
        taken.append(time.monotonic() - start)
    database.close()
    return Taken(taken, errors, wrong)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    arguments: Any = sys.argv[1:]
    print(json.dumps(run(arguments[0], arguments[1], float(arguments[2]), arguments[3])._asdict()))
