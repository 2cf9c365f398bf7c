"""projects list, limit."""

from contextlib import closing
from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, database_of, fail

application = typer.Typer(no_args_is_help=True, help="Limits of projects.")


@application.command("list")
def list_projects(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List projects with their own limits."""
    from app.keys import service

    with database_of(data_dir, database_url).reading() as session:
        for each in service.projects(session):
            limits = (each.max_running, each.max_queued)
            running, queued = ("default" if limit is None else str(limit) for limit in limits)
            typer.echo(f"{each.id}  running {running:>7}  queued {queued:>7}  {each.name}")


@application.command()
def limit(
    name: Annotated[str, typer.Argument(help="The project's name.")],
    running: Annotated[int | None, typer.Option(min=0, help="Most jobs that run at once.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="Most jobs that wait.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Limit a project's jobs; what is left out goes by the settings again."""
    from app.audit.acting import OPERATOR, Act, acting
    from app.errors import NotFound
    from app.keys import service

    try:
        with (
            closing(database_of(data_dir, database_url)) as database,
            acting(Act("update", "projects", OPERATOR)),
            database.writing() as session,
        ):
            service.limit(session, name, {"max_running": running, "max_queued": queued})
    except NotFound as error:
        raise fail(f"{name}: {error.detail}") from None
