"""Whether a failure is the database's own, which goes away by itself, or what it was asked for."""

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

IN_OTHER_CLASSES = ("25006", "25P03")
"""Of what ended a session, or finds itself on a server that has become a standby."""


def is_away(error: BaseException) -> bool:
    """Whether the database, and not what it was asked for, is at fault: the same may succeed in a while."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if not hasattr(error.orig, "sqlstate"):  # SQLite's
        return False
    state = getattr(error.orig, "sqlstate", "")  # which SQLite's errors do not have
    if state is None:
        # Not the server has said this, but the driver when a connection broke in the middle of an answer; it
        # may not know of the break yet.
        return type(error) in (DatabaseError, InternalError)
    return state in IN_OTHER_CLASSES
