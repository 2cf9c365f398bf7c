"""All checks, in the order in which one needs what another has looked at."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.audit import verification
from app.checks import contents, database, histories
from app.checks.finding import DATABASE, TAMPERED, Finding
from app.storage.away import is_away
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.view import view


def findings(blobs: Blobs) -> Iterator[Finding]:
    """What is wrong, as of one moment; the server may go on meanwhile.

    Nothing is asked of rows where the database itself is damaged, or has another schema. Raises DBAPIError
    where Postgres is away.
    """
    try:
        with view(blobs.database, blobs.directory) as connection:
            found = [*database.schema(connection), *database.pages(connection)]
            yield from found
            if not found:
                yield from _of_rows(connection, blobs)
        if not found:
            yield from _of_the_log(blobs.database)
    except (DBAPIError, ValueError) as error:  # not even its schema is text, say
        if not blobs.database.is_sqlite and is_away(error):
            raise
        what = f"The database cannot be read: {getattr(error, 'orig', error)}."
        yield Finding(what, DATABASE)


def _of_rows(connection: sa.Connection, blobs: Blobs) -> Iterator[Finding]:
    with Session(connection) as session:
        stored = contents.Contents(session, blobs)
        yield from stored.findings()
        yield from histories.jobs(session, blobs, stored.damaged)
        yield from histories.models(session, blobs, stored.damaged)


def _of_the_log(database: Database) -> Iterator[Finding]:
    for each in verification.verify(database):
        place = f"entry {each.seq} of project {each.project_id}" if each.seq else f"project {each.project_id}"
        yield Finding(f"The audit log, {place}: {each.problem}.", TAMPERED)
