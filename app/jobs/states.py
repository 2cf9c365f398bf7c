"""A job's states and what may be asked of it in each.

  ┌─────── crash ────────┐    ┌──▶ succeeded
  ▼                      │    │
queued ────claim────▶ running ┴──▶ failed ──retry──▶ queued
 │ ▲ ▲                   │
 │ │ └──resume───────┐ pause
 │ └──resume──┐      │   ▼
 └──pause──▶ paused ◀┴ pausing

cancel, from every state that is not final ──▶ cancelling ──▶ cancelled

Cancelling and pausing are over at once where no worker is needed for it.
"""

from enum import StrEnum
from typing import Literal

from app.errors import Conflict

Action = Literal["cancel", "pause", "resume", "retry"]


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # waits for a worker, also after a crash
    RUNNING = "running"  # a worker holds the lease
    PAUSING = "pausing"  # a worker holds the lease and is to stop
    PAUSED = "paused"
    CANCELLING = "cancelling"  # a worker holds the lease and is to stop
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


STOPPING = (State.PAUSING, State.CANCELLING)
HELD = (State.RUNNING, *STOPPING)
TERMINAL = (State.CANCELLED, State.SUCCEEDED, State.FAILED)
AT_REST = (*TERMINAL, State.PAUSED)
"""Nothing more happens in these until somebody asks for it."""

_ACTIONS: dict[State, tuple[str, ...]] = {
    State.QUEUED: ("cancel", "pause"),
    State.RUNNING: ("cancel", "pause"),
    State.PAUSING: ("cancel", "pause", "resume"),
    State.PAUSED: ("cancel", "pause", "resume"),
    State.CANCELLING: ("cancel",),
    State.CANCELLED: ("delete",),
    State.SUCCEEDED: ("delete",),
    State.FAILED: ("retry", "delete"),
}


def require(state: str, action: str) -> None:
    """Raise Conflict, naming what is allowed, unless this state takes the action."""
    allowed = _ACTIONS[State(state)]
    if action not in allowed:
        raise Conflict(f"The job is {state}: it cannot take '{action}' now.", allowed=allowed)


def require_unfinished(state: str) -> None:
    """Raise Conflict, naming the actions that are allowed, when the job has ended."""
    if state in TERMINAL:
        raise Conflict(f"The job is {state}: nothing waits for it.", allowed=_ACTIONS[State(state)])
