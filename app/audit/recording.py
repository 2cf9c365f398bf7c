"""The one place that writes the log: into every transaction that commits while somebody is acting.

What an act changes is seen in the session itself, so that no route, service or command has to say so.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.audit import chain
from app.audit.acting import SERVER, SERVER_CHAIN, Act, current

NOUNS = {
    "aliases": "alias",
    "architectures": "architecture",
    "batches": "batch",
    "cross_validations": "cross_validation",
    "datasets": "dataset",
    "evaluations": "evaluation",
    "jobs": "job",
    "keys": "key",
    "models": "model",
    "projects": "project",
    "splits": "split",
    "uploads": "upload",
    "webhooks": "webhook",
}
FACTS = {
    "aliases": ("model_id",),
    "batches": ("status", "model_id", "dataset_id", "result_dataset_id"),
    "cross_validations": ("dataset_id", "job_ids"),
    "datasets": ("sha256", "shared"),
    "evaluations": ("model_id", "dataset_id"),
    "jobs": ("status", "priority", "dataset_id", "model_id"),
    "keys": ("role", "expires_at"),
    "models": ("sha256", "job_id"),
    "splits": ("dataset_id",),
    "projects": (
        *("max_running", "max_queued", "max_datasets", "max_architectures", "max_aliases", "max_bytes"),
        *("max_multiply_adds_per_day", "max_requests_per_minute"),
    ),
}
"""Columns whose values are told. Of others an entry says at most that they changed: names, notes and URLs
are the users' own, and columns, rows and secrets nobody else's business."""

_ROWS, _NOTES = "audit rows", "audit notes"


def note(
    session: Session,
    action: str,
    object_id: str | None,
    data: dict[str, Any] | None = None,
    project_id: str | None = None,
    role: str = SERVER,
) -> None:
    """Log what the session cannot see for itself, as a deletion by a bare statement.

    It is whoever is acting that did it; else ``role``.
    """
    act = current()
    entry = {
        "project_id": project_id or (SERVER_CHAIN if act is None else act.project_id),
        "key_id": None if act is None else act.key_id,
        "role": role if act is None else act.role,
        "action": action,
        "object_id": object_id,
        "request_id": None if act is None else act.request_id,
        "data": data or {},
    }
    session.info.setdefault(_NOTES, []).append(entry)


@event.listens_for(Session, "after_flush")
def _see(session: Session, _: object) -> None:
    act = current()
    if act is None:
        return
    touched: dict[Any, set[str]] = session.info.setdefault(_ROWS, {})
    for row in (*session.new, *session.deleted):
        if row.__tablename__ == act.collection:
            touched.setdefault(row, set())
    for row in session.dirty:
        if row.__tablename__ == act.collection:
            changed = {each.key for each in sa.inspect(row).attrs if each.history.has_changes()}
            touched.setdefault(row, set()).update(changed)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return
    act = current()
    if act is not None:
        session.flush()
        _conclude(session, act)
    notes: list[dict[str, Any]] = session.info.pop(_NOTES, [])
    for entry in sorted(notes, key=lambda each: str(each["project_id"])):  # in one order, lest two wait
        chain.append(session, entry)


def _conclude(session: Session, act: Act) -> None:
    """Note what came of the act, in the words of its route."""
    noun = NOUNS.get(act.collection, act.collection)
    touched: dict[Any, set[str]] = session.info.pop(_ROWS, {})
    for row, changed in touched.items():
        project_id = row.id if act.collection == "projects" else row.project_id
        object_id = row.name if act.collection == "aliases" else row.id
        note(session, f"{noun}.{act.verb}", object_id, _told(act, row, changed), project_id)
    noted = any(each["action"] == f"{noun}.{act.verb}" for each in session.info.get(_NOTES, ()))
    if not touched and not noted and act.object_id is not None:
        note(session, f"{noun}.{act.verb}", act.object_id)


def _told(act: Act, row: Any, changed: set[str]) -> dict[str, Any]:
    facts = FACTS.get(act.collection, ())
    whole = act.verb in ("create", "set", "delete")
    values = {name: _plain(getattr(row, name)) for name in facts if whole or name in changed}
    if not whole:
        return {"changed": sorted(changed), **values} if changed else {}
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    return chain.moment_of(value) if isinstance(value, datetime) else value
