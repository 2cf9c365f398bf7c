"""chainrule-server: serve, worker, migrate, keys and so on. Every option is also an environment variable."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.settings import Settings
from app.worker.surroundings import pin_blas

pin_blas()  # before NumPy is imported: two BLAS threads round differently than one

application = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train neural networks over plain HTTP.",
)
keys_application = typer.Typer(no_args_is_help=True, help="API keys.")
application.add_typer(keys_application, name="keys")
projects_application = typer.Typer(no_args_is_help=True, help="Limits of projects.")
application.add_typer(projects_application, name="projects")

DataDir = Annotated[Path | None, typer.Option(help="Where SQLite, blobs and caches live.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://… instead of SQLite.")]
Workers = Annotated[int | None, typer.Option(help="Trainer slots; 0 for none.")]


def main() -> None:
    application()


def _settings(**options: Any) -> Settings:
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            name = ".".join(str(step) for step in each["loc"])
            typer.echo(f"{name} (CHAINRULE_{name.upper()}): {each['msg']}", err=True)
        raise typer.Exit(2) from None


@application.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    workers: Workers = None,
    insecure_http: Annotated[
        bool | None, typer.Option("--insecure-http", help="Allow a public address without TLS.")
    ] = None,
) -> None:
    """Run the API and its workers."""
    from app import serving

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = _settings(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        workers=workers,
        insecure_http=insecure_http,
    )
    try:
        serving.serve(settings)
    except (serving.RefusesToStart, OSError) as error:
        typer.echo(f"chainrule-server: {error}", err=True)
        raise typer.Exit(1) from None


@application.command()
def worker(data_dir: DataDir = None, database_url: DatabaseUrl = None, workers: Workers = None) -> None:
    """Run workers alone, against the same database."""
    from app import serving
    from app.worker import process

    settings = _settings(data_dir=data_dir, database_url=database_url, workers=workers)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.run_alone(serving.surroundings(settings))


@application.command()
def webhooks(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Send webhooks alone, against the same database; `serve` does it beside the API."""
    from app import serving
    from app.webhooks import process

    process.run_alone(serving.sending(_settings(data_dir=data_dir, database_url=database_url)))


@application.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database's schema up to date."""
    from app.storage import migration
    from app.storage.database import Database

    settings = _settings(data_dir=data_dir, database_url=database_url)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.url, patience=None)  # a large table takes its time
    migration.upgrade(database)
    typer.echo(f"The schema is at revision {migration.current(database)}.")


@keys_application.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="predict, read, write or admin.")] = "write",
    project: Annotated[str, typer.Option(help="Made when it is new.")] = "default",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and print its secret, once."""
    from app.keys import service
    from app.storage.database import Database

    if role not in service.ROLES:
        typer.echo(f"role: one of {', '.join(service.ROLES)}", err=True)
        raise typer.Exit(2)
    database = Database(_settings(data_dir=data_dir, database_url=database_url).url)
    with database.writing() as session:
        _, secret = service.create(session, name=name, role=role, project=project)
    sys.stdout.write(f"{secret}\n")


@keys_application.command("list")
def list_keys(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List keys, without their secrets."""
    from app.keys import service
    from app.storage.database import Database

    database = Database(_settings(data_dir=data_dir, database_url=database_url).url)
    with database.reading() as session:
        for key, project in service.listing(session):
            ended = "revoked" if key.revoked_at else "active"
            typer.echo(f"{key.id}  {key.role:7}  {project}  {ended}  {key.name}")


@keys_application.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The key's id.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Revoke a key; it is refused within a second."""
    from app.errors import NotFound
    from app.keys import service
    from app.storage.database import Database

    database = Database(_settings(data_dir=data_dir, database_url=database_url).url)
    try:
        with database.writing() as session:
            service.revoke(session, key_id)
    except NotFound as error:
        typer.echo(f"{key_id}: {error.detail}", err=True)
        raise typer.Exit(1) from None


@projects_application.command("list")
def list_projects(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List projects with their own limits."""
    from app.keys import service
    from app.storage.database import Database

    database = Database(_settings(data_dir=data_dir, database_url=database_url).url)
    with database.reading() as session:
        for each in service.projects(session):
            limits = (each.max_running, each.max_queued)
            running, queued = ("default" if limit is None else str(limit) for limit in limits)
            typer.echo(f"{each.id}  running {running:>7}  queued {queued:>7}  {each.name}")


@projects_application.command("limit")
def limit_project(
    name: Annotated[str, typer.Argument(help="The project's name.")],
    running: Annotated[int | None, typer.Option(min=0, help="Most jobs that run at once.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="Most jobs that wait.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Limit a project's jobs; what is left out goes by the settings again."""
    from app.errors import NotFound
    from app.keys import service
    from app.storage.database import Database

    database = Database(_settings(data_dir=data_dir, database_url=database_url).url)
    try:
        with database.writing() as session:
            service.limit(session, name, {"max_running": running, "max_queued": queued})
    except NotFound as error:
        typer.echo(f"{name}: {error.detail}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    main()
