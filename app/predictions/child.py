"""The process that reads one upload, or answers one file: `python -m app.predictions.child DIRECTORY`."""

import sys
from pathlib import Path

from app.datasets import child
from app.datasets.child import Verbs


def _verbs() -> Verbs:
    from app.predictions import filing

    return {"predict": filing.predict}


if __name__ == "__main__":
    child.serve(Path(sys.argv[1]), _verbs)
