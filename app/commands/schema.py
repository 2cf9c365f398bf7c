"""migrate."""

import typer

from app.commands.options import DatabaseUrl, DataDir, log_operation, refusals, settings_of

application = typer.Typer()


@application.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database's schema up to date."""
    from app.storage import migration, wall
    from app.storage.database import Database

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.url, patience=None)  # a large table takes its time
    with refusals():
        before = migration.current(database)
        migration.upgrade(database)
        after = migration.current(database)
        if before not in (None, after):
            log_operation(database, "server.migrate", before=before, after=after)
        typer.echo(f"The schema is at revision {after}.")
        if not wall.build(database):
            typer.echo("Row-level security does not stand behind it: see docs/keys.md.", err=True)
