"""One object of one project by its id: another project's looks exactly like one that does not exist."""

import re
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Fault, NotFound

Row = TypeVar("Row", bound=Any)
_BEFORE_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def get(
    session: Session,
    table: type[Row],
    project_id: str,
    object_id: str | sa.ScalarSelect[str],
    param: str,
    *,
    lock: bool = False,
    shared: bool = False,
) -> Row:
    """The row, locked until the transaction ends if asked for. Raises NotFound naming ``param``.

    With ``shared`` it may be another project's, if that shares it.
    """
    seen = table.project_id == project_id
    statement = sa.select(table).where(table.id == object_id, sa.or_(seen, table.shared) if shared else seen)
    row: Row | None = session.scalar(statement.with_for_update() if lock else statement)
    if row is None:
        noun = _BEFORE_CAPITAL.sub("-", table.__name__).lower()
        message = f"There is no such {noun}."
        raise NotFound(message, Fault(param, "not_found", f"No {noun} of this project has this id."))
    return row
