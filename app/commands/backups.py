"""backup, restore, copy."""

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, fail, log_operation, refusals, settings_of

if TYPE_CHECKING:
    from app.backups.flow import Passed

application = typer.Typer()

TELL_SECONDS = 2.0


class Progress:
    """Says on stderr how far it is, every two seconds."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, rows: int, size: int) -> None:
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            sys.stderr.write(f"{rows:,} rows, {size / 2**20:,.0f} MiB\n")


@application.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write; it must not exist.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write everything to one file, while the server goes on."""
    from sqlalchemy.exc import DBAPIError

    from app.backups import service
    from app.backups.flow import Refused

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    with refusals(Refused):
        passed = service.backup(settings.url, settings.data_dir / "blobs", file.absolute(), Progress())
    try:
        _log(settings.url, "server.backup")
    except DBAPIError as error:  # an older schema, a standby, a full disk
        typer.echo(f"It is not in the audit log: {str(error.orig).strip()}", err=True)
    _tell(f"{file} has", passed)


@application.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An archive that `backup` has written.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Fill an empty data directory or database from a backup, and verify it."""
    from app.backups import service
    from app.backups.flow import Refused

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    with refusals(Refused):
        passed = service.restore(file, settings.url, settings.data_dir / "blobs", Progress())
        _log(settings.url, "server.restore")
    _tell("Restored and verified:", passed)


@application.command()
def copy(
    from_url: Annotated[str, typer.Option("--from", help="sqlite:///path or postgresql://…, with data.")],
    to_url: Annotated[str, typer.Option("--to", help="The same, without data.")],
) -> None:
    """Copy everything from one database to an empty other, and verify it; the first stays as it is."""
    from app.backups import service
    from app.backups.flow import Refused
    from app.settings import known_url

    for option, url in (("--from", from_url), ("--to", to_url)):
        try:
            known_url(url)
        except ValueError as error:
            raise fail(f"{option}: {error}", code=2) from None
    with refusals(Refused):
        passed = service.copy(from_url, to_url, Progress())
        _log(to_url, "server.copy")
    _tell("Copied and verified:", passed)


def _log(url: str, action: str) -> None:
    from app.storage.database import Database

    with closing(Database(url, 2)) as database:
        log_operation(database, action)


def _tell(what: str, passed: "Passed") -> None:
    rows = sum(tally.rows for tally in passed.tables.values())
    size = f"{passed.size / 2**20:,.1f} MiB"
    typer.echo(f"{what} {rows:,} rows and {len(passed.blobs):,} large blobs, {size}.")
