"""Idempotency keys: a creating request that is sent again, after a lost answer say, creates nothing more.

The key's row is written in the transaction that creates, so that there are both or neither, whatever dies
when. Of two that come at once with one key the database lets one wait until the other is through.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Fault, KeyReused
from app.storage.columns import clock, to_json
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import IdempotencyKey

KEPT_SECONDS = 24 * 3600.0
LATE_SECONDS = 60.0
"""A key is known no longer when its time is up, and swept so much later: not while somebody reads its row."""

SWEPT_AT_ONCE = 500

_keys = core(IdempotencyKey)
PLACE = ("project_id", "route", "key")
OURS = sa.and_(*(_keys.c[name] == sa.bindparam(f"our_{name}") for name in PLACE))
FIND = sa.select(_keys.c.request_sha256, _keys.c.status, _keys.c.location, _keys.c.body).where(OURS)
FIND_LIVE = FIND.where(_keys.c.kept_until > clock())
FILL_IN = sa.update(_keys).where(OURS)


def _take(insert: Any) -> Any:
    """Insert an empty answer, or put it in the place of one whose time is up; a row if that was done."""
    fresh = {"status": 0, "location": None, "body": "", "kept_until": clock() + KEPT_SECONDS}
    taken = insert(_keys).values(**fresh)
    renewed = {"request_sha256": taken.excluded.request_sha256, **fresh}
    expired = _keys.c.kept_until <= clock()
    on_conflict = taken.on_conflict_do_update(index_elements=PLACE, set_=renewed, where=expired)
    return on_conflict.returning(_keys.c.key)


TAKE = {True: _take(sqlite.insert), False: _take(postgresql.insert)}
"""By whether it is SQLite."""


class Answered(NamedTuple):
    """An answer as it goes out, for the first time or once more."""

    status: int
    location: str
    body: str
    replayed: bool = False


class AlreadyAnswered(Exception):
    """Another request with this key was faster: what this one wrote is rolled back."""

    def __init__(self, answered: Answered) -> None:
        self.answered = answered
        super().__init__("another request with this key was faster")


class Once:
    """A creating request, and the one answer to its key; without a key, to itself.

    ``status`` and ``render`` are its route's: what a success is, and how its content becomes JSON.
    """

    def __init__(
        self,
        database: Database,
        project_id: str,
        route: str,
        key: str | None,
        status: int,
        render: Callable[[Mapping[str, Any]], str],
    ) -> None:
        self.key = key
        self.replayed = False
        self._database = database
        self._status = status
        self._render = render
        self._place = {"project_id": project_id, "route": route, "key": key}
        self._ours = {f"our_{name}": value for name, value in self._place.items()}
        self._request_sha256 = ""

    def look_up(self, sent: Callable[[], object]) -> Answered | None:
        """The first answer to this key, if there is one; see `run`, which this begins."""
        if self.key is None:
            return None
        canonical = to_json(sent(), sort_keys=True)
        self._request_sha256 = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
        with self._database.reading() as session:
            known = session.execute(FIND_LIVE, self._ours).first()
        return None if known is None else self._again(known)

    def run(self, sent: Callable[[], object], create: Callable[[], Answered]) -> Answered:
        """The first answer to this key, or that of ``create``, which comes to it by `writing` and `answer`.

        ``sent`` tells one request from another: JSON of what the client chose. It is not called without a
        key. Raises KeyReused when it is not what came with the key the first time.
        """
        known = self.look_up(sent)
        if known is not None:
            return known
        try:
            return create()
        except AlreadyAnswered as earlier:
            return earlier.answered

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The transaction that creates. It takes the key before all else: who waits for it holds no lock."""
        with self._database.writing() as session:
            if self.key is not None:
                self._take(session)
            yield session

    def answer(self, session: Session, location: str, content: Mapping[str, Any], *secret: str) -> Answered:
        """Answer with ``content``, and keep that for whoever asks again; fields in ``secret`` as null."""
        answered = Answered(self._status, location, self._render(content))
        if self.key is not None:
            kept = answered.body
            if secret:
                kept = self._render({**content, **dict.fromkeys(secret)})
            values = {"status": answered.status, "location": location, "body": kept}
            session.execute(FILL_IN, self._ours | values)
        return answered

    def _take(self, session: Session) -> None:
        row = self._place | {"request_sha256": self._request_sha256}
        if session.execute(TAKE[self._database.is_sqlite], row).first() is None:
            raise AlreadyAnswered(self._again(session.execute(FIND, self._ours).one()))

    def _again(self, known: sa.Row[*tuple[Any, ...]]) -> Answered:
        if known.request_sha256 != self._request_sha256:
            message = "This key came with another request to this path before."
            hint = "A new request needs a new key; one that is sent again must say what it said."
            fault = Fault("Idempotency-Key", KeyReused.code, message, hint)
            raise KeyReused(f"Idempotency-Key: {message}", fault)
        self.replayed = True
        return Answered(known.status, known.location, known.body, replayed=True)


def sweep(database: Database) -> int:
    """Delete the keys whose time is up, a few in each transaction; return how many."""
    old = IdempotencyKey.kept_until < clock() - LATE_SECONDS
    place = sa.tuple_(IdempotencyKey.project_id, IdempotencyKey.route, IdempotencyKey.key)
    few = sa.select(*place.clauses).where(old).limit(SWEPT_AT_ONCE)
    # Twice "old": one that is taken anew while we wait for its row is not old any more.
    statement = sa.delete(IdempotencyKey).where(place.in_(few), old).returning(IdempotencyKey.key)
    deleted, batch = 0, SWEPT_AT_ONCE
    while batch == SWEPT_AT_ONCE:
        with database.writing() as session:
            batch = len(session.execute(statement).all())
        deleted += batch
    return deleted
