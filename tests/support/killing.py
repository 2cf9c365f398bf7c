"""A process that kills itself at a chosen one of the many moments of a piece of work.

``python -m tests.support.killing MOMENT backup|restore|copy|migrate ARGUMENT…`` runs the command line; the
moments are the calls, of Python's functions and of C's, that are made in `PLACES`. With MOMENT 0 it goes
through and prints how many there were.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from app.cli import application

PLACES = ("/app/backups/", "/app/storage/migration.py", "/alembic/versions/")


def main() -> None:
    at, passed = int(sys.argv[1]), 0

    def look(frame: FrameType, what: str, _: Any) -> None:
        nonlocal passed
        if what in ("call", "c_call") and any(each in frame.f_code.co_filename for each in PLACES):
            passed += 1
            if passed == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)
    application(sys.argv[2:], standalone_mode=False)
    sys.setprofile(None)
    sys.stdout.write(f"{passed}\n")


def moments(*command: str | Path, at: int = 0) -> int:
    """Run a command of the server, killed at that moment; or all of it, and count the moments."""
    arguments = [sys.executable, "-m", "tests.support.killing", str(at), *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    if at:
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-3000:]
        return 0
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
