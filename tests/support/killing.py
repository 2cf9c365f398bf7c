"""A process that kills itself at a chosen one of the many moments of a piece of work.

``python -m tests.support.killing MOMENT backup|restore|copy ARGUMENT…`` runs the command line; the moments
are the calls, of Python's functions and of C's, that are made in the modules of backups. With MOMENT 0 it
goes through and prints how many there were.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

from app.cli import application


def main() -> None:
    at, passed = int(sys.argv[1]), 0

    def look(frame: FrameType, what: str, _: Any) -> None:
        nonlocal passed
        if what in ("call", "c_call") and "/app/backups/" in frame.f_code.co_filename:
            passed += 1
            if passed == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)
    application(sys.argv[2:], standalone_mode=False)
    sys.setprofile(None)
    sys.stdout.write(f"{passed}\n")


if __name__ == "__main__":
    main()
