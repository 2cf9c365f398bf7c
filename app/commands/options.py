"""The options that commands share, and the settings that come of them."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.settings import Settings
    from app.storage.database import Database

DataDir = Annotated[Path | None, typer.Option(help="Where SQLite, blobs and caches live.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://… instead of SQLite.")]
Workers = Annotated[int | None, typer.Option(help="Trainer slots; 0 for none.")]


def settings_of(**options: Any) -> "Settings":
    """The settings; an option that was given wins over the environment, and that over files of secrets, as
    systemd and Docker give them. Exits with 2 where one is wrong.
    """
    from pydantic import ValidationError

    from app.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    secrets = [each for each in (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets") if each]
    try:
        return Settings(**given, _secrets_dir=[each for each in secrets if Path(each).is_dir()])
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            name = ".".join(str(step) for step in each["loc"])
            told = each["msg"].replace("items after validation", "characters")  # of a secret, which is none
            typer.echo(f"{name} (CHAINRULE_{name.upper()}): {told}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def refusals(*more: type[Exception]) -> Iterator[None]:
    """Say in one line why it is not done, and exit with 1, instead of a traceback."""
    from sqlalchemy.exc import DBAPIError

    from app.storage.migration import WrongSchema

    expected: tuple[type[Exception], ...] = (WrongSchema, OSError, *more)
    try:
        yield
    except DBAPIError as error:
        raise fail(f"chainrule-server: the database says: {str(error.orig).strip()}") from None
    except expected as error:
        raise fail(f"chainrule-server: {error}") from None


@contextmanager
def opened(data_dir: Path | None, database_url: str | None) -> Iterator["Database"]:
    """The database that the options and the environment name. Says why and exits with 1 where there is none,
    it has another schema than ours, or something is wrong with it before the block ends.
    """
    from app.storage import migration
    from app.storage.database import Database

    # Nobody waits but who has typed it: a statement may take its time.
    database = Database(settings_of(data_dir=data_dir, database_url=database_url).url, 2, None, 0)
    with refusals(), closing(database):
        require_there(database)
        migration.require(database)
        yield database


def require_there(database: "Database") -> None:
    """Say so and exit with 1 where SQLite has no such file: it would be made, and be empty."""
    if database.path is not None and not database.path.exists():
        raise fail(f"chainrule-server: There is no database {database.path}.")


def log_operation(database: "Database", action: str, **data: Any) -> None:
    """An entry in the audit log for what a command does to the database as a whole."""
    from app.audit.acting import OPERATOR
    from app.audit.recording import note

    with database.writing() as session:
        note(session, action, None, data, role=OPERATOR)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Say on stderr what went wrong; raise what this returns."""
    typer.echo(message, err=True)
    return typer.Exit(code)
