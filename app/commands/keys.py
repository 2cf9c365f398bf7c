"""keys create, list, revoke."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, fail, opened

application = typer.Typer(no_args_is_help=True, help="API keys.")


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="predict, read, write or admin.")] = "write",
    project: Annotated[str, typer.Option(help="Made when it is new.")] = "default",
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 90d, 12h, or a time as 2030-01-31T00:00:00Z.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and print its secret, once."""
    from app.audit.acting import OPERATOR, Act, acting
    from app.errors import Invalid
    from app.keys import service

    if role not in service.ROLES:
        raise fail(f"role: one of {', '.join(service.ROLES)}", code=2)
    _need_name("name", name)
    _need_name("project", project)
    expires_at = _moment(expires)
    try:
        with (
            opened(data_dir, database_url) as database,
            acting(Act("create", "keys", OPERATOR)),
            database.writing() as session,
        ):
            _, secret = service.create(session, name=name, role=role, project=project, expires_at=expires_at)
    except Invalid as error:
        raise fail(f"expires: {error.faults[0].message}", code=2) from None
    sys.stdout.write(f"{secret}\n")


def _need_name(what: str, text: str) -> None:
    """Exits with 2 where the API would not take it as a name."""
    from pydantic import TypeAdapter, ValidationError

    from app.schemas import Name

    try:
        TypeAdapter(Name).validate_python(text)
    except ValidationError:
        raise fail(f"{what}: 1 to 255 characters, no control characters", code=2) from None


def _moment(text: str | None) -> datetime | None:
    """The time that it names. Exits with 2 where it names none."""
    if text is None:
        return None
    span = re.fullmatch(r"([0-9]{1,6})([dh])", text)
    try:
        if span is not None:
            return datetime.now(UTC) + timedelta(hours=int(span[1]) * (24 if span[2] == "d" else 1))
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except (ValueError, OverflowError):
        raise fail("expires: 90d, 12h, or a time as 2030-01-31T00:00:00Z", code=2) from None


@application.command("list")
def list_keys(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List keys, newest first, without their secrets."""
    from app.keys import service
    from app.storage.columns import now
    from app.storage.paging import Window

    after, more = None, True
    with opened(data_dir, database_url) as database, database.reading() as session:
        while more:
            keys, more = service.listing(session, Window(1000, after))
            for key, project in keys:
                over = key.expires_at is not None and key.expires_at <= now()
                state = "revoked" if key.revoked_at else "expired" if over else "active"
                used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}"
                typer.echo(f"{key.id}  {key.role:7}  {project}  {state}  {used}  {key.name}")
                after = key.id


@application.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Revoke a key; it is refused within a second."""
    from app.audit.acting import OPERATOR, Act, acting
    from app.errors import NotFound
    from app.keys import service

    try:
        with (
            opened(data_dir, database_url) as database,
            acting(Act("delete", "keys", OPERATOR)),
            database.writing() as session,
        ):
            an_admin_is_left = service.revoke(session, key_id, even_last=True)
    except NotFound as error:
        raise fail(f"{key_id}: {error.detail}") from None
    if not an_admin_is_left:
        typer.echo("No admin key is left: chainrule-server keys create NAME --role admin", err=True)
