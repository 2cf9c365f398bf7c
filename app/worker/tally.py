"""What trainers have done, counted in memory that their supervisor can read, without a word or a lock."""

import ctypes
from collections.abc import Iterable


class Tally(ctypes.Structure):
    """Of one slot, since its supervisor started: one trainer after the other counts up, the supervisor reads.

    Each count is one aligned double: whole numbers are exact up to 2^53, and no read sees half of a write.
    """

    epochs: float
    """Epochs written to the database, without those that were there already."""
    snapshots: float
    snapshot_seconds: float
    """What dumping and writing these snapshots took."""
    succeeded: float
    stopped: float
    """Jobs that were cancelled or paused at a client's wish."""
    failed: float
    held_up: float
    """Jobs that were paused for want of room on the disk."""

    _fields_ = (
        ("epochs", ctypes.c_double),
        ("snapshots", ctypes.c_double),
        ("snapshot_seconds", ctypes.c_double),
        ("succeeded", ctypes.c_double),
        ("stopped", ctypes.c_double),
        ("failed", ctypes.c_double),
        ("held_up", ctypes.c_double),
    )


NAMES = tuple(name for name, _ in Tally._fields_)


def total(tallies: Iterable[Tally]) -> dict[str, float]:
    """The counts of all slots, by name."""
    listed = list(tallies)
    return {name: sum(getattr(each, name) for each in listed) for name in NAMES}
