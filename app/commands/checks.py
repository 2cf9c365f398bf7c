"""check."""

from contextlib import closing
from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, fail, refusals, require_there, settings_of

application = typer.Typer()


@application.command()
def check(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    repair: Annotated[bool, typer.Option("--repair", help="Delete files that nothing names first.")] = False,
) -> None:
    """Read everything and say what is not as it was written: a line each, and exit code 1."""
    from app.checks import service
    from app.storage.blobs import Blobs
    from app.storage.database import Database
    from app.storage.sweep import Sweep

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    count = 0
    with refusals(), closing(Database(settings.url, 2, patience=None, idle_seconds=0)) as database:
        require_there(database)
        blobs = Blobs(database, settings.data_dir / "blobs")
        if repair:
            typer.echo(f"Deleted {Sweep(blobs).run()} blobs that nothing names.", err=True)
        for count, finding in enumerate(service.findings(blobs), 1):  # noqa: B007 (how many)
            typer.echo(f"{finding.what} {finding.way_out}")
    if count:
        raise fail(f"{count} findings.")
    typer.echo("Everything is as it was written.", err=True)
