"""Schemathesis against a running server: no 500, and no answer that OpenAPI does not describe."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "st")
EXAMPLES = 60
SECONDS = 420

LEFT_OUT = (
    # Documents describe shapes; that two fields go together, or that a column exists, they cannot say.
    "positive_data_acceptance",
    # Names that are hostile but legal, as a form field of another type, are generated as if they were not.
    "negative_data_rejection",
)


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    command = [
        COMMAND,
        "run",
        f"{server.url}/openapi.json",
        "--url",
        server.url,
        "--header",
        f"Authorization: Bearer {server.admin_key}",
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--max-examples",
        str(EXAMPLES),
        "--exclude-checks",
        ",".join(LEFT_OUT),
        "--exclude-path-regex",
        "/v1/keys",  # it would revoke the key that it uses
        "--request-timeout",
        "30",
        "--generation-database",
        "none",
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
