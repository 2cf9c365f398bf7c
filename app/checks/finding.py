"""What a check has found."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Something that is wrong, and what to do about it; a sentence each."""

    what: str
    way_out: str


FROM_A_BACKUP = "Restore it from a backup, or delete it."
DATABASE = "Restore the whole database from the last sound backup."
ASK = "That should not happen: please report it."
TAMPERED = "Somebody has changed the log by hand: compare it with a backup."
