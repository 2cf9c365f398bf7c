"""keys create, list, revoke."""

import sys
from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, database_of, fail

application = typer.Typer(no_args_is_help=True, help="API keys.")


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="predict, read, write or admin.")] = "write",
    project: Annotated[str, typer.Option(help="Made when it is new.")] = "default",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and print its secret, once."""
    from app.keys import service

    if role not in service.ROLES:
        raise fail(f"role: one of {', '.join(service.ROLES)}", code=2)
    with database_of(data_dir, database_url).writing() as session:
        _, secret = service.create(session, name=name, role=role, project=project)
    sys.stdout.write(f"{secret}\n")


@application.command("list")
def list_keys(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List keys, without their secrets."""
    from app.keys import service

    with database_of(data_dir, database_url).reading() as session:
        for key, project in service.listing(session):
            ended = "revoked" if key.revoked_at else "active"
            typer.echo(f"{key.id}  {key.role:7}  {project}  {ended}  {key.name}")


@application.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Revoke a key; it is refused within a second."""
    from app.errors import NotFound
    from app.keys import service

    try:
        with database_of(data_dir, database_url).writing() as session:
            service.revoke(session, key_id)
    except NotFound as error:
        raise fail(f"{key_id}: {error.detail}") from None
