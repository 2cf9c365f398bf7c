"""The second wall, on Postgres: row-level security for the sessions of requests.

Such a session becomes a role, at the beginning of each transaction, to which the tables' policies apply, and
names the project in the variable ``chainrule.project`` (see `scope.SWITCH`). So a query that forgets its
project sees nothing of others all the same, also where the server's user owns the tables or is a superuser.
What is bound to no project, as workers, commands and the operator's own tools, stays who it is, and sees all.

The policies are the migration's. The role belongs to the server of databases, not to one of them: it is made
after a migration, by whoever may make roles, and is for this database alone.
"""

import logging

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.storage.away import is_away
from app.storage.database import Database
from app.storage.declaring import Table, Walled

log = logging.getLogger(__name__)

LOCK = 7413
NAME = "SELECT left(current_database(), 50) || '_project'"
BECOME = "SELECT set_config('role', :role, true)"
STANDS = """SELECT count(*) FROM pg_class
    WHERE oid = ANY(:tables ::regclass[]) AND row_security_active(oid)
    AND has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')"""
"""Asked by the role itself: of how many tables it may do everything, but to rows of one project only."""

MAKE = ("CREATE ROLE {role} NOLOGIN", "GRANT {role} TO CURRENT_USER")
OPEN = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
)


def tables() -> list[str]:
    """Those that have rows of projects."""
    mappers = Table.registry.mappers
    return sorted(str(each.local_table) for each in mappers if issubclass(each.class_, Walled))


def role_behind(database: Database) -> str | None:
    """The role that sessions of requests become; None where the wall does not stand, or on SQLite."""
    if database.is_sqlite:
        return None
    with database.engine.connect() as connection:
        role: str = connection.execute(sa.text(NAME)).scalar_one()
        try:
            connection.execute(sa.text(BECOME), {"role": role})
            held = connection.execute(sa.text(STANDS), {"tables": tables()}).scalar_one()
        except DBAPIError as error:
            if is_away(error):
                raise
            return None
    return role if held == len(tables()) else None


def build(database: Database) -> bool:
    """See to it that the wall stands, as far as this user may; whether it does. Nothing to do on SQLite."""
    if database.is_sqlite or role_behind(database) is not None:
        return True
    for steps in (MAKE[:1], MAKE[1:], OPEN):
        try:
            _run(database, steps)
        except SQLAlchemyError as error:  # there already, or another's to make
            log.info("the second wall: %s", type(getattr(error, "orig", error)).__name__)
    return role_behind(database) is not None


def _run(database: Database, steps: tuple[str, ...]) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        quote = connection.dialect.identifier_preparer.quote_identifier
        role = quote(connection.execute(sa.text(NAME)).scalar_one())
        schema = quote(connection.execute(sa.text("SELECT current_schema()")).scalar_one())
        for step in steps:
            connection.exec_driver_sql(step.format(role=role, schema=schema))
