"""Whether a server has kept every promise: one check for the end of every test that does it harm.

`settle` waits until nothing moves any more, `check` then reports every violation that it finds, in the
database, among the blobs, through the API and in what a `Recorder` has heard. `control_of` describes a run
that nothing has disturbed, for `check` to compare others with.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.events import epoch_answer
from app.storage.blobs import Blobs
from app.storage.declaring import Table
from app.storage.sweep import GRACE_SECONDS
from app.storage.tables import (
    Architecture,
    Dataset,
    Epoch,
    Event,
    Job,
    Key,
    Model,
    Project,
    Webhook,
)
from tests.support.promises import AT_REST, Control, briefly, in_database, outcome
from tests.support.recorder import Recorder
from tests.support.server import Server, until
from tests.support.training import history, log_of, made

TABLES: dict[str, type[Any]] = {
    "dataset": Dataset,
    "architecture": Architecture,
    "job": Job,
    "model": Model,
    "key": Key,
    "webhook": Webhook,
}
READ_BACK = 20_000
"""Jobs with more epochs than this are not read through the API, page by page."""


def settle(server: Server, seconds: float = 60.0) -> None:
    """Return when every job is paused or at its end. Raises TimeoutError with those that are not."""
    moving = sa.select(Job.id, Job.status, Job.fence, Job.epochs_completed).where(Job.status.not_in(AT_REST))
    with server.database() as database:

        def still() -> bool:
            with database.reading() as session:
                return session.execute(moving.limit(1)).first() is None

        try:
            until(still, seconds)
        except TimeoutError:
            with database.reading() as session:
                rows = [tuple(row) for row in session.execute(moving)]
            raise TimeoutError(f"stuck after {seconds} s: {rows}\n{server.log.read_text()[-3000:]}") from None


def control_of(server: Server, job_id: str) -> Control:
    with server.database() as database, database.reading() as session:
        return outcome(session, session.get_one(Job, job_id))


def check(
    server: Server,
    recorder: Recorder | None = None,
    controls: Mapping[str, Control] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Raise AssertionError with every promise that the server has broken.

    ``controls`` are by job id. Nothing may move: see `settle`. The server must be up.
    """
    found = violations(server, recorder, controls, grace_seconds)
    assert not found, f"{len(found)} promises are broken:\n" + "\n".join(found)


def violations(
    server: Server,
    recorder: Recorder | None = None,
    controls: Mapping[str, Control] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> list[str]:
    """What `check` would raise, one line each."""
    recorder = recorder or Recorder()
    with server.database() as database:
        blobs = Blobs(database, server.data_dir / "blobs")
        found = [*in_database(database, blobs, controls, grace_seconds)]
        with database.reading() as session:
            found += _untrue(session, recorder)
            projects = _jobs_by_project(session)
    for project, jobs in projects.items():
        found += _through_api(server, project, jobs, recorder)
    return found + recorder.violations


def _untrue(session: Session, recorder: Recorder) -> Iterator[str]:
    """What clients were told and is no longer so."""
    for each, kind in recorder.created.items():
        if each not in recorder.deleted and session.get(TABLES[kind], each) is None:
            yield f"{kind} {each} was acknowledged and is gone"
    for each, sha256 in recorder.models.items():
        model = session.get(Model, each)
        if each not in recorder.deleted and (model is None or model.sha256 != sha256):
            yield f"{each} is not the model that a client was shown"
    for each, told_rows in recorder.epochs.items():
        rows = {row.epoch: epoch_answer(row) for row in session.scalars(_of(Epoch, each))}
        if each not in recorder.deleted:
            wrong = [epoch for epoch, row in told_rows.items() if rows.get(epoch) != row]
            yield from [f"{each} has not the epochs that a client was told: {briefly(wrong)}"] * bool(wrong)
    for each, told_events in recorder.events.items():
        ids = {event.seq: event.id for event in session.scalars(_of(Event, each))}
        if each not in recorder.deleted:
            wrong = [seq for seq, event in told_events.items() if ids.get(seq) != event["id"]]
            yield from [f"{each} has not the events that a client was told: {briefly(wrong)}"] * bool(wrong)
    yield from _doubles(session, recorder)


def _doubles(session: Session, recorder: Recorder) -> Iterator[str]:
    """One key makes one object: told as one, and never more rows of a name than keys that asked for it."""
    for (route, key), ids in recorder.made_by.items():
        if len(ids) > 1:
            yield f"POST {route} with one key ({key}) has made {sorted(ids)}"
    for route, name in {(each.route, each.name) for each in recorder.sent if each.name is not None}:
        table = TABLES.get(route.rsplit("/", 1)[-1].removesuffix("s"))
        if table is None:
            continue
        keys = {each.key for each in recorder.sent if (each.route, each.name) == (route, name)}
        named = session.scalar(sa.select(sa.func.count()).select_from(table).where(table.name == name)) or 0
        if named > len(keys):
            yield f"{named} objects are called {name!r}, which {len(keys)} keys asked for at {route}"


def _of(table: type[Table], job_id: str) -> Any:
    return sa.select(table).where(table.job_id == job_id)  # type: ignore[attr-defined]


def _jobs_by_project(session: Session) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    jobs = sa.select(Project.name, Job.id).join(Job, Job.project_id == Project.id).order_by(Job.id)
    for project, job in session.execute(jobs.where(Job.epochs_completed <= READ_BACK)):
        found[project].append(job)
    return found


def _through_api(server: Server, project: str, jobs: list[str], recorder: Recorder) -> Iterator[str]:
    """Each job, its history and its log as clients read them, page by page, heard by the recorder too."""
    with recorder.client(server, project=project) as client:
        for each in jobs:
            job = made(client.get(f"/v1/jobs/{each}"), 200)
            epochs = [row["epoch"] for row in history(client, each)]
            if epochs != list(range(1, job["progress"]["completed"] + 1)):
                yield f"{each} answers with epochs {briefly(epochs)}"
            log = log_of(client, each)
            if [event["seq"] for event in log] != list(range(1, len(log) + 1)):
                yield f"{each} answers with events {briefly([event['seq'] for event in log])}"
            told = [row["epoch"] for event in log if event["type"] == "job.epoch"
                    for row in event["data"]["epochs"]]  # fmt: skip
            if told != epochs:
                yield f"{each} tells of epochs {briefly(told)}"
            model_id = job["model_id"]
            if model_id is not None and model_id not in recorder.deleted:
                answer = client.get(f"/v1/models/{model_id}")
                if answer.is_error:
                    yield f"{each} has lost its model: {answer.status_code}"
