"""Who does what just now. `recording` writes it into the log with whatever the transaction changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

OPERATOR = "operator"
"""The role of whoever has the command line, and with it the database."""

SERVER = "server"
"""The role of the server itself, as when it deletes what is older than its settings keep."""

SERVER_CHAIN = "server"
"""In place of a project's id: the chain of what concerns no project."""

NESTED = frozenset({"evaluations"})
"""Collections whose paths begin with the path of what they belong to."""

VERBS = {"POST": "create", "PUT": "set", "PATCH": "update", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Act:
    """``verb`` is done to rows of the table ``collection``: 'pause', 'jobs'.

    ``object_id`` names the row where the transaction does not touch it as an object. ``project_id`` is the
    chain of a row that has no project.
    """

    verb: str
    collection: str
    role: str
    project_id: str = SERVER_CHAIN
    key_id: str | None = None
    request_id: str | None = None
    object_id: str | None = None


_acting: ContextVar[Act | None] = ContextVar("acting", default=None)


def current() -> Act | None:
    return _acting.get()


@contextmanager
def acting(act: Act | None) -> Iterator[None]:
    """Whatever is committed inside is this act; also in threads that are given a copy of our context."""
    token = _acting.set(act)
    try:
        yield
    finally:
        _acting.reset(token)


def asked(
    method: str,
    template: str,
    parameters: Mapping[str, object],
    *,
    project_id: str,
    role: str,
    key_id: str,
    request_id: str,
) -> Act:
    """What a request does, by its route: ``POST /v1/jobs/{job_id}/pause`` is 'pause' of 'jobs'."""
    _, _, collection, *rest = template.split("/")
    collection = collection.replace("-", "_")
    tail = template.rpartition("}")[2].strip("/") if parameters else ""
    named = next(iter(parameters.values()), None)
    if len(rest) > 1 and rest[1] in NESTED:
        collection, tail = rest[1], ""
        named = [*parameters.values()][1] if len(parameters) > 1 else None
    return Act(
        verb=tail if method == "POST" and tail else VERBS.get(method, method.lower()),
        collection=collection,
        role=role,
        project_id=project_id,
        key_id=key_id,
        request_id=request_id,
        object_id=None if named is None else str(named),
    )
