"""serve, worker, webhooks: processes that run until they are told to stop."""

from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, Workers, fail, settings_of

application = typer.Typer()


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

    settings = settings_of(
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
        raise fail(f"chainrule-server: {error}") from None


@application.command()
def worker(data_dir: DataDir = None, database_url: DatabaseUrl = None, workers: Workers = None) -> None:
    """Run workers alone, against the same database."""
    from app import serving
    from app.worker import process

    settings = settings_of(data_dir=data_dir, database_url=database_url, workers=workers)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.run_alone(serving.surroundings(settings))


@application.command()
def webhooks(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Send webhooks alone, against the same database; `serve` does it beside the API."""
    from app import serving
    from app.webhooks import process

    process.run_alone(serving.sending(settings_of(data_dir=data_dir, database_url=database_url)))
