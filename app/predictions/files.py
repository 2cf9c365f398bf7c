"""Files of rows, in the API process: received, answered in a child, and sent, but never read here."""

import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from app.datasets.jail import Jail
from app.predictions import carried
from app.predictions.outputs import Answering

BLOCK = 256 * 1024
ANSWER, PROGRESS = "answer", "progress"
"""What a child leaves in the directory."""


class Scratch:
    """A directory that a child sees, for one request; gone with it."""

    def __init__(self, within: Path) -> None:
        self.path = Path(tempfile.mkdtemp(dir=within))
        self.body = self.path / "body"

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def progress(self) -> int:
        """How many of the rows are answered, as far as the child has said."""
        try:
            return int((self.path / PROGRESS).read_text())
        except (OSError, ValueError):
            return 0


class Answered(NamedTuple):
    """``path`` lies in the scratch directory, and goes with it; `opened` keeps it for longer."""

    path: Path
    warnings: dict[str, int]

    def opened(self) -> BinaryIO:
        """The file, which stays until it is closed, whoever dies, though its name goes before."""
        return self.path.open("rb")


def answer(
    jail: Jail,
    model: Answering,
    scratch: Scratch,
    answer_type: str,
    *,
    own: bool = False,
    stop: threading.Event | None = None,
) -> Answered:
    """Answer the body that is in the scratch directory, unless ``stop`` is set meanwhile.

    ``own``: it is a dataset's Parquet, which was written here.

    Raises InvalidDataset, TooLarge, Unavailable when stopped, and OSError (ENOSPC).
    """
    carried.write(model, scratch.path)
    limits = {
        "max_columns": jail.limits.max_columns,
        "max_expanded_bytes": jail.limits.max_expanded_bytes,
        "max_ratio": jail.limits.max_ratio,
    }
    arguments: dict[str, Any] = {"answer_type": answer_type, "limits": limits, "own": own}
    done = jail.run("predict", scratch.body, scratch.path, arguments, stop)
    return Answered(scratch.path / ANSWER, done["warnings"])


async def blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    """The file in parts, as they are taken, from the page cache: a hop to a thread would cost more."""
    with file:
        while block := file.read(BLOCK):
            yield block
