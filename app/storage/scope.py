"""Whose rows a session sees: the one place where every query gets its project.

The gate binds each request to its key's project; every session that is opened meanwhile, by whatever code and
in whatever thread the request goes on, sees the rows of that project alone. What is to see more says so by
`whole_server` or `across`, and ``tests/storage/test_scope.py`` lists who does. `wall` is the second wall.

Processes without requests, as workers and commands, are bound to nothing and see everything.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql import operators, visitors

from app.storage.declaring import Table, Walled

EVERYONE: Final = "*"
"""In the place of a project's id: no project has it."""

SWITCH = "SELECT set_config('role', %s, true), set_config('chainrule.project', %s, true)"
"""Until the transaction ends: see `wall`."""

_project: ContextVar[str | None] = ContextVar("project", default=None)
_checked: WeakKeyDictionary[Any, tuple[sa.BindParameter[Any], ...]] = WeakKeyDictionary()


class Unbound(RuntimeError):
    """A fault of ours: code that serves a request would see, or change, rows of other projects."""


class _Bound:
    """A block's project. Every request is in such a block, and a generator would take thrice as long."""

    __slots__ = ("_project_id", "_token")

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def __enter__(self) -> None:
        self._token = _project.set(self._project_id)

    def __exit__(self, *_: object) -> None:
        _project.reset(self._token)


def within(project_id: str) -> AbstractContextManager[None]:
    """Sessions that are opened in this block see the rows of one project."""
    return _Bound(project_id)


@contextmanager
def whole_server() -> Iterator[None]:
    """Sessions that are opened in this block see the rows of every project."""
    with within(EVERYONE):
        yield


def bind_to_whole_server() -> None:
    """As `whole_server`, for the rest of this request: an administrator's, about the server itself."""
    _project.set(EVERYONE)


class ProjectSession(Session):
    """A session that sees the rows of the project ``info["project"]``.

    Whatever is asked of it by mapped classes is narrowed to them. Statements of bare tables must compare each
    table with the project themselves; SQL in text is refused, since nobody can tell what is in it.
    """

    @property
    def project(self) -> str:
        project: str = self.info["project"]
        return project

    def connection(self, *arguments: Any, **options: Any) -> sa.Connection:
        """Refused: see `bare`."""
        if self.project != EVERYONE:
            raise Unbound("a bare connection")
        return super().connection(*arguments, **options)


def session(engine: sa.Engine, *, must_be_bound: bool, role: str | None) -> Session:
    """A session for the project that this code serves, or for all. Raises Unbound where nobody has said.

    ``role`` is the one that the second wall holds back, where there is one.
    """
    project = _project.get()
    if project is None and must_be_bound:
        raise Unbound("a session that nobody has bound to a project")
    if project is None or project == EVERYONE:
        return Session(engine, expire_on_commit=False)
    return ProjectSession(engine, expire_on_commit=False, info={"project": project, "role": role})


@contextmanager
def across(session: Session) -> Iterator[None]:
    """In this block a session sees every project, for what is counted, or kept, once for all of them."""
    before = session.info.get("project")
    if not isinstance(session, ProjectSession) or before == EVERYONE:
        yield
        return
    session.flush()  # what is the project's own is written as its own
    _switch(session, EVERYONE)
    try:
        yield
    except DBAPIError:  # this transaction takes no statement more: to send one would hide what ended it
        session.info["project"] = before
        raise
    except BaseException:
        _switch(session, before)
        raise
    else:
        _switch(session, before)


def bare(session: Session) -> sa.Connection:
    """The connection itself, for SQL of the driver's: whoever asks for it names the project in all of it."""
    return Session.connection(session)


def _switch(session: Session, project: Any) -> None:
    session.info["project"] = project
    if session.info["role"] is not None and session.in_transaction() and session.is_active:
        role = "none" if project == EVERYONE else session.info["role"]
        bare(session).exec_driver_sql(SWITCH, (role, project))


@event.listens_for(ProjectSession, "after_begin")
def _begin(session: Any, _: object, connection: sa.Connection) -> None:
    role = session.info["role"]
    if role is not None and session.project != EVERYONE:
        connection.exec_driver_sql(SWITCH, (role, session.project))


@event.listens_for(ProjectSession, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    session: Any = state.session
    if session.project == EVERYONE or state.is_column_load:
        return
    if state.is_insert:
        _check_insert(state.statement, state.parameters, session.project)
    elif state.is_orm_statement:
        narrowed = _seen if state.is_select else _written
        state.statement = state.statement.options(narrowed(session.project))
    else:
        _check(state.statement, state.parameters, session.project)


@event.listens_for(ProjectSession, "before_flush")
def _check_objects(session: Any, *_: object) -> None:
    """What is loaded or made in this session, and then written, is the project's own."""
    if session.project == EVERYONE:
        return
    for each in (*session.new, *session.dirty, *session.deleted):
        if getattr(each, "project_id", session.project) != session.project:
            raise Unbound(f"a {type(each).__name__} of another project would be written")


@lru_cache(1024)
def _seen(project_id: str) -> ORMOption:
    return with_loader_criteria(Walled, lambda cls: cls.seen_by(project_id), include_aliases=True)


@lru_cache(1024)
def _written(project_id: str) -> ORMOption:
    return with_loader_criteria(Walled, lambda cls: cls.of_project(project_id), include_aliases=True)


def _rows(parameters: Any) -> Iterable[Mapping[str, Any]]:
    return [parameters] if isinstance(parameters, Mapping) else parameters or ()


def _check_insert(statement: Any, parameters: Any, project: str) -> None:
    if statement.select is not None:
        _check(statement.select, parameters, project)
    for row in _rows(parameters):
        if row.get("project_id", project) != project:
            raise Unbound(f"a row of {statement.table.name} would be of another project")


def _check(statement: Any, parameters: Any, project: str) -> None:
    """Raise Unbound unless a statement that nobody narrows compares each of its tables with the project."""
    binds = _checked.get(statement)
    if binds is None:
        binds = _checked[statement] = _project_binds(statement)
    for row in _rows(parameters) or ({},):
        for bind in binds:
            if row.get(bind.key, bind.value) != project:
                raise Unbound("a statement about another project")


def _project_binds(statement: Any) -> tuple[sa.BindParameter[Any], ...]:
    """What a statement compares its tables' projects with. Raises Unbound for a table without."""
    if isinstance(statement, sa.TextClause):
        raise Unbound("SQL in text")
    walled, bound, linked, binds = set(), set(), [], []
    for element in visitors.iterate(statement):
        if isinstance(element, sa.FromClause) and _table_of(element) in _owners():
            walled.add(element)
        if isinstance(element, sa.BinaryExpression) and element.operator is operators.eq:
            tables = {side.table for side in (element.left, element.right) if _is_owner(side)}
            binds_here = [
                side for side in (element.left, element.right) if isinstance(side, sa.BindParameter)
            ]
            if tables and binds_here:
                bound |= tables
                binds += binds_here
            elif len(tables) == 2:
                linked.append(tables)
    for _ in linked:  # a chain of them has no more links
        for pair in linked:
            bound |= pair if pair & bound else set()
    if walled - bound:
        names = ", ".join(sorted({_table_of(each).name for each in walled - bound}))
        raise Unbound(f"a statement on {names} that does not name its project")
    return tuple(binds)


def _table_of(element: Any) -> Any:
    return element.element if isinstance(element, sa.Alias) else element


def _is_owner(side: Any) -> bool:
    return isinstance(side, sa.Column) and _owners().get(_table_of(side.table)) == side.name


@cache
def _owners() -> dict[Any, str | None]:
    """By walled table, the column that names the project; None where the row of a job does."""
    found = [each for each in Table.registry.mappers if issubclass(each.class_, Walled)]
    return {each.local_table: each.class_.owner_column for each in found}
