"""audit heads, verify."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import DatabaseUrl, DataDir, fail, opened

if TYPE_CHECKING:
    from app.audit.verification import Head

application = typer.Typer(no_args_is_help=True, help="The audit log.")


@application.command("heads")
def print_heads(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Print how many entries each project has, and the hash of the last: to be kept elsewhere."""
    from app.audit import verification

    with opened(data_dir, database_url) as database:
        found = {project: asdict(head) for project, head in verification.heads(database).items()}
    sys.stdout.write(f"{json.dumps(found, indent=1, sort_keys=True)}\n")


@application.command()
def verify(
    heads: Annotated[
        Path | None, typer.Option(help="What `audit heads` printed earlier; kept where nobody changes it.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Say which entries are not what was written: a line each, and exit code 1."""
    from app.audit import verification

    known = {} if heads is None else _read(heads)
    with opened(data_dir, database_url) as database:
        findings = verification.verify(database, known)
    for each in findings:
        typer.echo(f"project {each.project_id}, entry {each.seq}: {each.problem}")
    if findings:
        raise fail(f"{len(findings)} findings: see docs/audit.md for what to do.")
    typer.echo("The audit log is what was written.", err=True)


def _read(path: Path) -> dict[str, "Head"]:
    from app.audit.verification import Head

    try:
        kept = json.loads(path.read_bytes())
        return {
            project: Head(int(head["count"]), str(head["chain_sha256"])) for project, head in kept.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise fail(f"{path}: these are no heads ({type(error).__name__}).", code=2) from None
