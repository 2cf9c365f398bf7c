"""Projects: listing them, and limiting them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, attributes

from app.errors import Fault, NotFound
from app.projects import quotas
from app.projects.quotas import Quotas
from app.schemas import normal
from app.settings import Settings
from app.storage.tables import Project

LIMITS = (*quotas.NAMES, "max_requests_per_minute")
"""The columns of a project's own limits."""


def by_default(settings: Settings) -> Quotas:
    """Of projects that have no limits of their own."""
    return Quotas(
        max_running=settings.max_running_jobs,
        max_queued=settings.max_queued_jobs,
        max_datasets=settings.max_datasets,
        max_architectures=settings.max_architectures,
        max_aliases=settings.max_aliases,
        max_bytes=settings.max_stored_bytes,
        max_multiply_adds_per_day=settings.max_multiply_adds_per_day,
    )


def listing(session: Session) -> Sequence[Project]:
    """Every project, by name."""
    return session.scalars(sa.select(Project).order_by(Project.name)).all()


def named(session: Session, name: str, *, lock: bool = False) -> Project:
    """The project of that name. Raises NotFound."""
    statement = sa.select(Project).where(Project.name == normal(name))
    project = session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if project is None:
        raise NotFound("There is no such project.", Fault("name", "not_found", "No project has this name."))
    return project


def of_id(session: Session, project_id: str) -> Project:
    """The project of a key."""
    return session.get_one(Project, project_id)


def limit(session: Session, name: str, limits: Mapping[str, int | None]) -> Project:
    """Set those of `LIMITS` that are given; None: as the settings say. Raises NotFound."""
    project = named(session, name, lock=True)
    attributes.flag_dirty(project)  # the log tells of it by its id, also where no limit is given
    for each, value in limits.items():
        setattr(project, each, value)
    return project


def answer(project: Project) -> dict[str, Any]:
    """A project with its own limits, as clients see it."""
    own = {name: getattr(project, name) for name in LIMITS}
    made = {"created_at": project.created_at, "created_by": project.created_by}
    return {"id": project.id, **made, "name": project.name, **own}


def standing(session: Session, project: Project, default: Quotas) -> dict[str, Any]:
    """The project's limits as they hold, and what counts against them now."""
    held = quotas.of(session, project.id, default)
    limits: dict[str, int | None] = {name: getattr(held, name) for name in quotas.NAMES}
    limits["max_requests_per_minute"] = project.max_requests_per_minute
    return {"limits": limits, "used": quotas.used(session, project.id)}
