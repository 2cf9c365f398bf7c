"""The log as administrators see it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.chain import GENESIS
from app.storage.paging import Window
from app.storage.tables import AuditEntry, Project


def page(session: Session, window: Window) -> tuple[list[dict[str, Any]], bool]:
    """Entries of every project in that window, and whether there are more behind it.

    Of ``window.equal`` 'project' is a name, the others are columns.
    """
    before = sa.orm.aliased(AuditEntry)
    statement = (
        sa.select(AuditEntry, Project.name, before.chain_sha256)
        .outerjoin(Project, Project.id == AuditEntry.project_id)
        .outerjoin(
            before, sa.and_(before.project_id == AuditEntry.project_id, before.seq == AuditEntry.seq - 1)
        )
    )
    for name, value in window.equal.items():
        column = Project.name if name == "project" else getattr(AuditEntry, name)
        statement = statement.where(column == value)
    upward = window.order == "asc"
    if window.after is not None:
        statement = statement.where(AuditEntry.id > window.after if upward else AuditEntry.id < window.after)
    statement = statement.order_by(AuditEntry.id if upward else AuditEntry.id.desc())
    rows = session.execute(statement.limit(window.limit + 1)).all()
    return [_answer(*row) for row in rows[: window.limit]], len(rows) > window.limit


def _answer(entry: AuditEntry, project: str | None, previous: str | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "created_at": entry.created_at,
        "project": project,
        "project_id": entry.project_id,
        "seq": entry.seq,
        "key_id": entry.key_id,
        "role": entry.role,
        "action": entry.action,
        "object_id": entry.object_id,
        "request_id": entry.request_id,
        "data": entry.data,
        "previous_sha256": previous or GENESIS,
        "chain_sha256": entry.chain_sha256,
    }
