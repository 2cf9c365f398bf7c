"""Cross-validation: one job for each fold, queued together, and their figures as one."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cross_validations.schemas import CrossValidationCreate
from app.errors import Fault, Invalid
from app.jobs import actions, submission
from app.jobs.schemas import Fold
from app.jobs.states import TERMINAL, State
from app.jobs.submission import Ready
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.projects.quotas import Quotas
from app.settings import Settings
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import CrossValidation, Job

GOING_ON = (State.QUEUED, State.RUNNING, State.PAUSING, State.CANCELLING)


def create(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: CrossValidationCreate,
    sent: dict[str, Any],
    once: Once,
) -> Answered:
    """Queue a job for each fold: all of them, or none. Raises as `submission.create` does."""
    _check(asked)
    ready = [_prepared(database, blobs, settings, principal, asked, sent, i) for i in range(asked.folds)]
    first = ready[0].resolved
    rows = first.rows.train + first.rows.validation + first.rows.test
    if asked.folds > rows:
        message = f"There are {rows} rows with a target: some folds would have none."
        raise Invalid(message, Fault("folds", "out_of_range", message, "Ask for fewer folds."))
    with once.writing() as session:
        jobs = [submission.queue(session, database, blobs, settings, principal, each) for each in ready]
        row = CrossValidation(
            id=new_id("cv"),
            project_id=principal.project_id,
            created_by=principal.key_id,
            created_at=now(),
            name=asked.name,
            labels=asked.metadata,
            dataset_id=jobs[0].dataset_id,
            task=first.task,
            target=first.target,
            job_ids=[job.id for job in jobs],
            requested=submission.abridged(sent),
            warnings=first.warnings,
        )
        session.add(row)
        session.flush()
        return once.answer(session, f"/v1/cross-validations/{row.id}", answers(session, [row])[0])


def _check(asked: CrossValidationCreate) -> None:
    faults = [
        Fault(f"training.{name}", "not_allowed", message, "Leave it out.")
        for name, message in (
            ("fold", "Each job has its own."),
            ("split_id", "A stored split has no folds."),
            ("test_fraction", "A fold is what is held out for testing."),
        )
        if name in asked.training.model_fields_set and getattr(asked.training, name) is not None
    ]
    if faults:
        raise Invalid(f"{faults[0].param}: {faults[0].message}", *faults)


def _prepared(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    asked: CrossValidationCreate,
    sent: dict[str, Any],
    index: int,
) -> Ready:
    fold = Fold(index=index, of=asked.folds)
    title = f"fold {index + 1} of {asked.folds}"
    changes = {
        "training": asked.training.model_copy(update={"fold": fold}),
        "name": title if asked.name is None else f"{asked.name[: 255 - len(title) - 2]}, {title}",
    }
    own = {name: value for name, value in sent.items() if name != "folds"}
    own["training"] = {**sent.get("training", {}), "fold": fold.model_dump()}
    return submission.prepare(database, blobs, settings, principal, asked.model_copy(update=changes), own)


def get(session: Session, principal: Principal, reference: str, *, lock: bool = False) -> CrossValidation:
    return lookup.get(
        session, CrossValidation, principal.project_id, reference, "cross_validation_id", lock=lock
    )


def cancel(
    session: Session, database: Database, principal: Principal, reference: str, quotas: Quotas
) -> bool:
    """Ask every job that has not ended to stop. False where none was left to ask."""
    row = get(session, principal, reference)
    left = sa.select(Job.id).where(Job.id.in_(row.job_ids), Job.status.not_in(TERMINAL)).order_by(Job.id)
    took = [
        actions.ask(session, database, principal, each, "cancel", quotas) for each in session.scalars(left)
    ]
    return any(took)


def answers(session: Session, rows: Sequence[CrossValidation]) -> list[dict[str, Any]]:
    """Cross-validations as clients see them."""
    ids = [each for row in rows for each in row.job_ids]
    columns = (Job.id, Job.status, Job.model_id, Job.result)
    found = {job.id: job for job in session.execute(sa.select(*columns).where(Job.id.in_(ids)))}
    return [_answer(row, [found.get(each) for each in row.job_ids]) for row in rows]


def _answer(row: CrossValidation, jobs: Sequence[Any]) -> dict[str, Any]:
    measured = [
        (job.result.get("metrics") or {}).get("test") if job and job.status == State.SUCCEEDED else None
        for job in jobs
    ]
    names = dict.fromkeys(name for each in measured for name in each or ())
    return {
        "id": row.id,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "name": row.name,
        "metadata": row.labels,
        "status": _status([None if job is None else job.status for job in jobs]),
        "dataset_id": row.dataset_id,
        "task": row.task,
        "target": row.target[0] if len(row.target) == 1 else row.target,
        "requested": row.requested,
        "folds": [
            {
                "fold": index,
                "job_id": job_id,
                "status": None if job is None else job.status,
                "model_id": None if job is None else job.model_id,
                "metrics": metrics,
            }
            for index, (job_id, job, metrics) in enumerate(zip(row.job_ids, jobs, measured, strict=True))
        ],
        "metrics": {name: _spread([each[name] for each in measured if each]) for name in names},
        "warnings": row.warnings,
    }


def _status(states: Sequence[str | None]) -> str:
    if all(each == State.QUEUED for each in states):
        return "queued"
    if any(each in GOING_ON for each in states):
        return "running"
    for state in (State.PAUSED, State.FAILED, State.CANCELLED):
        if state in states:
            return str(state)
    return "incomplete" if None in states else "succeeded"


def _spread(figures: Sequence[float | None]) -> dict[str, Any]:
    """What is not finite is None already, and does not count."""
    known = [each for each in figures if each is not None and math.isfinite(each)]
    return {
        "mean": fmean(known) if known else None,
        "std": stdev(known) if len(known) > 1 else None,
        "folds": len(known),
    }
