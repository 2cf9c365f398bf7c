"""chainrule-server: serve, worker, migrate, keys and so on. Every option is also an environment variable."""

import os

import typer

from app.commands import audit, backups, checks, keys, projects, running, schema
from app.worker.pinning import pin_blas

pin_blas()  # before NumPy is imported: two BLAS threads round differently than one

application = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train neural networks over plain HTTP.",
)
application.add_typer(running.application)
application.add_typer(schema.application)
application.add_typer(backups.application)
application.add_typer(checks.application)
application.add_typer(keys.application, name="keys")
application.add_typer(audit.application, name="audit")
application.add_typer(projects.application, name="projects")


def main() -> None:
    os.umask(0o077)  # what we write is for us alone, also in a directory that others made
    application()


if __name__ == "__main__":
    main()
