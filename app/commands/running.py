"""serve, worker, webhooks: processes that run until they are told to stop."""

import contextlib
import ctypes
import gc
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, Workers, refusals, require_there, settings_of

application = typer.Typer()

HEAP = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 32 << 20), "M_TRIM_THRESHOLD": (-1, 128 << 20)}
"""Parameters of glibc's mallopt, and what they are to be."""


def keep_one_heap() -> None:
    """Have all threads of this process share one heap, which keeps up to 128 MiB at hand (glibc).

    Else a thread that answers for a matrix of 31 MB gets 60 MB from the system, and gives them back, each
    time, which takes half as long again (`bench.serving`). To be called before any library starts a thread.
    """
    with contextlib.suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in HEAP.values():
            mallopt(parameter, value)


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
    metrics_open: Annotated[
        bool | None, typer.Option("--metrics-open", help="Answer GET /metrics without a key.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file: the certificate and its chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: the certificate's private key.")] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="A name that the server answers to; may be given again.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose pages may call the API; may be given again.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="Address or network of a proxy to believe; may be given again.")
    ] = None,
) -> None:
    """Run the API and its workers."""
    keep_one_heap()
    gc.disable()  # until all is set up, for which it takes a fifth longer; see `serving.serve`
    from app import serving

    settings = settings_of(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        workers=workers,
        insecure_http=insecure_http,
        metrics_open=metrics_open,
        tls_cert=tls_cert,
        tls_key=tls_key,
        allowed_host=allowed_host or None,
        cors_origin=cors_origin or None,
        trusted_proxy=trusted_proxy or None,
    )
    with refusals(serving.RefusesToStart):
        serving.serve(settings)


@application.command()
def worker(data_dir: DataDir = None, database_url: DatabaseUrl = None, workers: Workers = None) -> None:
    """Run workers alone, against the same database."""
    from app import serving
    from app.worker import process

    settings = settings_of(data_dir=data_dir, database_url=database_url, workers=workers)
    with refusals(serving.RefusesToStart):
        serving.check_confinement(settings)
        serving.check_file_system(settings)
    serving.keep_temporary_files(settings.data_dir)
    _require_schema(settings.url)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.run_alone(serving.surroundings(settings))


@application.command()
def webhooks(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Send webhooks alone, against the same database; `serve` does it beside the API."""
    from app import serving
    from app.webhooks import process

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _require_schema(settings.url)
    process.run_alone(serving.sending(settings))


def _require_schema(url: str) -> None:
    """Exits with 1 where there is no schema, or another; a database that is away is waited for later."""
    from sqlalchemy.exc import DBAPIError

    from app.storage import migration
    from app.storage.database import Database

    with contextlib.closing(Database(url, 1)) as database:
        require_there(database)
        with refusals(), contextlib.suppress(DBAPIError):
            migration.require(database)
