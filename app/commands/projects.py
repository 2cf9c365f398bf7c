"""projects list, show, limit."""

from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, fail, opened, settings_of

application = typer.Typer(no_args_is_help=True, help="Limits of projects.")

ProjectName = Annotated[str, typer.Argument(help="The project's name.")]


@application.command("list")
def list_projects(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List projects with the limits of their own."""
    from app.projects import service

    with opened(data_dir, database_url) as database, database.reading() as session:
        for each in service.listing(session):
            own = {name: getattr(each, name) for name in service.LIMITS}
            told = "  ".join(f"{name} {most}" for name, most in own.items() if most is not None)
            typer.echo(f"{each.id}  {each.name}  {told or 'as the settings say'}")


@application.command()
def show(name: ProjectName, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Show a project's limits as they hold, and what counts against them now."""
    from app.errors import NotFound
    from app.projects import service

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    try:
        with opened(data_dir, database_url) as database, database.reading() as session:
            project = service.named(session, name)
            standing = service.standing(session, project, service.by_default(settings))
    except NotFound as error:
        raise fail(f"{name}: {error.detail}") from None
    for limit_name, most in standing["limits"].items():
        typer.echo(f"{limit_name:26} {'none' if most is None else most:>20}")
    for what, count in standing["used"].items():
        typer.echo(f"used: {what:20} {count:>20}")


@application.command()
def limit(
    name: ProjectName,
    running: Annotated[int | None, typer.Option(min=0, help="Most jobs that run at once.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="Most jobs that wait.")] = None,
    datasets: Annotated[int | None, typer.Option(min=0, help="Most datasets.")] = None,
    architectures: Annotated[int | None, typer.Option(min=0, help="Most stored architectures.")] = None,
    aliases: Annotated[int | None, typer.Option(min=0, help="Most aliases.")] = None,
    stored_bytes: Annotated[
        int | None, typer.Option("--bytes", min=0, help="Most bytes of datasets, models and snapshots.")
    ] = None,
    multiply_adds_per_day: Annotated[
        int | None, typer.Option(min=0, help="Most multiply-adds of the jobs of a day (UTC).")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most requests a minute with all of its keys.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Let all that is not given here go by the settings again.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Limit a project; what is left out stays as it is."""
    from app.audit.acting import OPERATOR, Act, acting
    from app.errors import NotFound
    from app.projects import service

    counts = running, queued, datasets, architectures, aliases
    asked = *counts, stored_bytes, multiply_adds_per_day, requests_per_minute
    limits = dict(zip(service.LIMITS, asked, strict=True))
    given = {each: most for each, most in limits.items() if reset or most is not None}
    try:
        with (
            opened(data_dir, database_url) as database,
            acting(Act("update", "projects", OPERATOR)),
            database.writing() as session,
        ):
            service.limit(session, name, given)
    except NotFound as error:
        raise fail(f"{name}: {error.detail}") from None
