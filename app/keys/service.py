"""Projects, API keys and the check of a presented one. Only the SHA-256 of a key's secret is kept."""

import hashlib
import os
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.acting import SERVER, Act, acting
from app.audit.recording import note
from app.errors import Fault, Forbidden, NotFound
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.tables import Key, Project

ROLES = ("predict", "read", "write", "admin")
"""Each may do what those before it may."""

DEFAULT_PROJECT = "default"
FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, and in which project."""

    key_id: str
    project_id: str
    role: str

    def need(self, role: str) -> None:
        """Raise Forbidden unless this key's role reaches ``role``."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise Forbidden(f"This needs a key with the role '{role}'; this key's role is '{self.role}'.")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def project_named(session: Session, name: str) -> Project:
    """The project of that name, made when new."""
    named = sa.select(Project).where(Project.name == name)
    project = session.scalar(named)
    if project is None:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        row = {"id": new_id("proj"), "name": name, "created_at": now()}
        make = insert(Project).values(row).on_conflict_do_nothing()  # another may have been faster
        made = session.execute(make.returning(Project.id)).scalar()
        if made is not None:
            note(session, "project.create", made, {"name": name}, made)
        project = session.scalars(named).one()
    return project


def projects(session: Session) -> Sequence[Project]:
    """Every project, by name."""
    return session.scalars(sa.select(Project).order_by(Project.name)).all()


def limit(session: Session, name: str, limits: Mapping[str, int | None]) -> Project:
    """Set ``max_running`` and ``max_queued`` of a project, those that are given; None: as the settings say.

    Raises NotFound.
    """
    project = session.scalar(sa.select(Project).where(Project.name == name))
    if project is None:
        raise NotFound("There is no such project.", Fault("name", "not_found", "No project has this name."))
    for each, value in limits.items():
        setattr(project, each, value)
    return project


def create(
    session: Session,
    *,
    name: str,
    role: str,
    project: str = DEFAULT_PROJECT,
    created_by: str | None = None,
    expires_at: datetime | None = None,
    secret: str | None = None,
) -> tuple[Key, str]:
    """Make a key; return its row and its secret, which cannot be had again."""
    secret = secret or f"cr_{secrets.token_urlsafe(32)}"
    key = Key(
        id=new_id("key"),
        project_id=project_named(session, project).id,
        created_by=created_by,
        created_at=now(),
        name=name,
        role=role,
        secret_sha256=digest(secret),
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    session.flush()
    return key, secret


def get(session: Session, key_id: str) -> Key:
    key = session.get(Key, key_id)
    if key is None:
        raise NotFound("There is no such key.", Fault("key_id", "not_found", "No key has this id."))
    return key


def listing(session: Session) -> Sequence[tuple[Key, str]]:
    """Every key with its project's name, newest first."""
    statement = sa.select(Key, Project.name).join(Project, Project.id == Key.project_id)
    return [(key, name) for key, name in session.execute(statement.order_by(Key.id.desc()))]


def revoke(session: Session, key_id: str) -> None:
    key = get(session, key_id)
    key.revoked_at = key.revoked_at or now()


def ensure_admin(database: Database, configured: str | None, path: Path) -> None:
    """Make the first admin key: the operator's own, or a new one written to ``path`` (mode 600).

    An operator's key is accepted from its first start on; a key is invented only for a database that
    has no admin key at all.
    """
    with acting(Act("create", "keys", SERVER)), database.writing() as session:
        database.claim_lock(session)
        known = sa.select(Key.id).where(Key.role == "admin")
        if configured is not None:
            if session.scalar(known.where(Key.secret_sha256 == digest(configured))) is None:
                create(session, name="operator", role="admin", secret=configured)
            return
        if session.scalar(known) is not None:
            return
        _, secret = create(session, name="first admin key", role="admin")
        # Written before the commit: a crash between the two leaves a file without a key, which the
        # next start replaces, and never a key that nobody knows.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")
            os.fsync(file.fileno())


class Authenticator:
    """Checks presented keys; remembers each answer for a second, so that a revoked key is soon gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[tuple[str, str], tuple[float, Principal]] = {}

    def remembered(self, token: str, project: str) -> Principal | None:
        """The answer of less than a second ago, without touching the database."""
        found = self._seen.get((token, project))
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def check(self, token: str, project: str) -> Principal | None:
        """Look the key up; None when it is unknown, expired or revoked. ``project``: an admin's choice."""
        with self._database.reading() as session:
            key = session.scalar(sa.select(Key).where(Key.secret_sha256 == digest(token)))
            if key is None or key.revoked_at is not None:
                return None
            if key.expires_at is not None and key.expires_at <= now():
                return None
            project_id: str | None = key.project_id
            if project and key.role == "admin":
                project_id = session.scalar(sa.select(Project.id).where(Project.name == project))
        if project_id is None:
            fault = Fault("Chainrule-Project", "not_found", "No project has this name.")
            raise NotFound("There is no such project.", fault)
        principal = Principal(key.id, project_id, key.role)
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[token, project] = (time.monotonic() + FRESH_SECONDS, principal)
        return principal

    def standing(self, key_ids: Collection[str]) -> set[str]:
        """Those of the keys that are neither expired nor revoked now."""
        valid = sa.and_(Key.revoked_at.is_(None), sa.or_(Key.expires_at.is_(None), Key.expires_at > now()))
        with self._database.reading() as session:
            return set(session.scalars(sa.select(Key.id).where(Key.id.in_(key_ids), valid)))
