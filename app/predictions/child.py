"""As `app.datasets.child`, with children that answer files: `python -m app.predictions.child DIRECTORY`."""

import sys
from pathlib import Path

from app.datasets import child
from app.datasets.child import Verbs


def _verbs() -> Verbs:
    from app.predictions import filing

    return {"predict": filing.predict}


if __name__ == "__main__":
    child.main(Path(sys.argv[1]), _verbs)
