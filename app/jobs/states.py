"""A job's states and what may be asked of it in each.

queued ──claim──▶ running ──▶ succeeded
  │  ▲               │  └───▶ failed
  │  └──── crash ────┤
  │                cancel
  │                  ▼
  └────cancel──▶ cancelled ◀── cancelling
"""

from enum import StrEnum

from app.errors import Conflict


class State(StrEnum):
    QUEUED = "queued"  # waits for a worker, also after a crash
    RUNNING = "running"  # a worker holds the lease
    CANCELLING = "cancelling"  # a worker holds the lease and is to stop
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


HELD = (State.RUNNING, State.CANCELLING)
TERMINAL = (State.CANCELLED, State.SUCCEEDED, State.FAILED)

_ACTIONS: dict[State, tuple[str, ...]] = {
    State.QUEUED: ("cancel",),
    State.RUNNING: ("cancel",),
    State.CANCELLING: ("cancel",),
    State.CANCELLED: ("delete",),
    State.SUCCEEDED: ("delete",),
    State.FAILED: ("delete",),
}


def require(state: str, action: str) -> None:
    """Raise Conflict, naming what is allowed, unless this state takes the action."""
    allowed = _ACTIONS[State(state)]
    if action not in allowed:
        raise Conflict(f"The job is {state}: it cannot take '{action}' now.", allowed=allowed)
