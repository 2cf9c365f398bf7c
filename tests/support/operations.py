"""The published list of operations with their least roles: docs/keys.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
ROLES = ("predict", "read", "write", "admin")


def least_roles() -> dict[str, str]:
    """By operation, as ``GET /v1/jobs/{job_id}``; ``none``: open to everybody."""
    return dict(re.findall(r"^\| `([A-Z]+ /\S*)` \| (\w+) \|$", PAGE.read_text(), re.MULTILINE))
