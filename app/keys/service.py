"""Projects, API keys and the check of a presented one. Only the SHA-256 of a key's secret is kept."""

import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.acting import SERVER, Act, acting
from app.audit.recording import note
from app.errors import Fault, Forbidden, Invalid, LastAdminKey, NotFound, TooManyFailures
from app.keys import cookies
from app.keys.failures import Failures
from app.keys.uses import Uses
from app.schemas import normal
from app.storage.columns import new_id, now
from app.storage.database import Database
from app.storage.paging import Window
from app.storage.scope import whole_server
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
    max_requests_per_minute: int | None = None
    """Of the project, where it has a limit of its own."""

    def need(self, role: str) -> None:
        """Raise Forbidden unless this key's role reaches ``role``."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise Forbidden(f"This needs a key with the role '{role}'; this key's role is '{self.role}'.")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def project_named(session: Session, name: str, created_by: str | None = None) -> Project:
    """The project of that name, made when new, by a key or by the operator."""
    name = normal(name)
    named = sa.select(Project).where(Project.name == name)
    project = session.scalar(named)
    if project is None:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        row = {"id": new_id("proj"), "name": name, "created_by": created_by, "created_at": now()}
        make = insert(Project).values(row).on_conflict_do_nothing()  # another may have been faster
        made = session.execute(make.returning(Project.id)).scalar()
        if made is not None:
            note(session, "project.create", made, {"name": name}, made)
        project = session.scalars(named).one()
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
    """Make a key; return its row and its secret, which cannot be had again.

    Raises Invalid where it would have ended already.
    """
    if expires_at is not None and expires_at <= now():
        message = "This moment is in the past."
        hint = "Name one to come, or leave it out for a key that does not end."
        raise Invalid(f"expires_at: {message}", Fault("expires_at", "out_of_range", message, hint))
    secret = secret or f"cr_{secrets.token_urlsafe(32)}"
    key = Key(
        id=new_id("key"),
        project_id=project_named(session, project, created_by).id,
        created_by=created_by,
        created_at=now(),
        name=name,
        role=role,
        secret_sha256=digest(secret),
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    session.add(key)
    session.flush()
    return key, secret


def get(session: Session, key_id: str) -> tuple[Key, str]:
    """The key and its project's name. Raises NotFound."""
    statement = sa.select(Key, Project.name).join(Project, Project.id == Key.project_id)
    found = session.execute(statement.where(Key.id == key_id)).first()
    if found is None:
        raise NotFound("There is no such key.", Fault("key_id", "not_found", "No key has this id."))
    return found[0], found[1]


def listing(
    session: Session, window: Window, project: str | None = None
) -> tuple[Sequence[tuple[Key, str]], bool]:
    """Keys with their projects' names, of every project or of one, and whether there are more behind them."""
    statement = sa.select(Key, Project.name).join(Project, Project.id == Key.project_id)
    if project is not None:
        statement = statement.where(Project.name == normal(project))
    upward = window.order == "asc"
    if window.after is not None:
        statement = statement.where(Key.id > window.after if upward else Key.id < window.after)
    statement = statement.order_by(Key.id if upward else Key.id.desc()).limit(window.limit + 1)
    rows = [(key, name) for key, name in session.execute(statement)]
    return rows[: window.limit], len(rows) > window.limit


def revoke(session: Session, key_id: str, *, even_last: bool = False) -> bool:
    """Revoke a key; whether some admin key stands behind it. Raises NotFound.

    Raises LastAdminKey, unless ``even_last``, where nobody could make a key over HTTP any more.
    """
    standing = sa.select(Key.id).where(Key.role == "admin", is_standing())
    # Locked in one order, so that two administrators do not revoke each other's at once.
    admins = set(session.scalars(standing.order_by(Key.id).with_for_update()))
    key, _ = get(session, key_id)
    if admins == {key.id} and not even_last:
        raise LastAdminKey
    key.revoked_at = key.revoked_at or now()
    return bool(admins - {key.id})


def is_standing() -> sa.ColumnElement[bool]:
    """The key is neither expired nor revoked now."""
    return sa.and_(Key.revoked_at.is_(None), sa.or_(Key.expires_at.is_(None), Key.expires_at > now()))


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
    """Checks presented keys; remembers each answer for a second, so that a revoked key is soon gone.

    ``most_failures``: so many wrong keys a minute are looked up for one address. ``refusals`` counts
    requests, by what was wrong: ``missing``, ``invalid`` or ``too_many``.
    """

    def __init__(self, database: Database, most_failures: int = 60) -> None:
        self._database = database
        self._seen: dict[tuple[str, str | None], tuple[float, Principal]] = {}
        self._failures = Failures(most_failures)
        self._known: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._reading_known = threading.Lock()
        self.uses = Uses(database)
        self.refusals = Counter[str]()

    def remembered(self, token: str, project: str) -> Principal | None:
        """The answer of less than a second ago, without touching the database."""
        found = self._seen.get((token, project)) or self._seen.get((token, None))
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def check(self, token: str, project: str, address: str = "") -> Principal | None:
        """Look the key up; None when it is unknown, expired or revoked. ``project``: an admin's choice.

        ``address`` is the client's. Raises TooManyFailures for one more wrong key from there.
        """
        secret = digest(token)
        wait = self._failures.wait(address)
        if wait and secret not in self._known_digests():
            raise TooManyFailures(retry_after=wait)
        with whole_server(), self._database.reading() as session:
            key = session.scalar(sa.select(Key).where(Key.secret_sha256 == secret, is_standing()))
            if key is None:
                self._failures.count(address)
                return None
            chosen = project and key.role == "admin"
            where = Project.name == project if chosen else Project.id == key.project_id
            found = session.execute(
                sa.select(Project.id, Project.max_requests_per_minute).where(where)
            ).first()
        if found is None:
            fault = Fault("Chainrule-Project", "not_found", "No project has this name.")
            raise NotFound("There is no such project.", fault)
        self.uses.note(key.id)
        principal = Principal(key.id, found.id, key.role, found.max_requests_per_minute)
        if len(self._seen) > 10_000:
            self._seen.clear()
        left = FRESH_SECONDS if key.expires_at is None else (key.expires_at - now()).total_seconds()
        named = project if key.role == "admin" else None  # to all others it is the same what they name
        self._seen[token, named] = (time.monotonic() + min(FRESH_SECONDS, left), principal)
        return principal

    def reader(self, cookie: str) -> Principal | None:
        """Who reads the documentation by this cookie; None when it, or its key, is no good any more."""
        key_id = cookies.key_of(cookie)
        with whole_server(), self._database.reading() as session:
            key = session.scalar(sa.select(Key).where(Key.id == key_id, is_standing()))
        if key is None or not cookies.is_of(cookie, key.secret_sha256):
            return None
        return Principal(key.id, key.project_id, key.role)

    def standing(self, key_ids: Collection[str]) -> set[str]:
        """Those of the keys that are neither expired nor revoked now."""
        with whole_server(), self._database.reading() as session:
            return set(session.scalars(sa.select(Key.id).where(Key.id.in_(key_ids), is_standing())))

    def _known_digests(self) -> frozenset[str]:
        """Of all keys, as of the last second: however many wrong ones come, the database is asked once."""
        with self._reading_known:
            if self._known[0] < time.monotonic():
                with whole_server(), self._database.reading() as session:
                    found = frozenset(session.scalars(sa.select(Key.secret_sha256).where(is_standing())))
                self._known = (time.monotonic() + FRESH_SECONDS, found)
            return self._known[1]
