"""Schemathesis against a running server: no 500, and no answer that OpenAPI does not describe."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.training import finished, made, submit, upload

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "st")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
EXAMPLES = 40
SECONDS = 900

LEFT_OUT = (
    # Schemas describe shapes. That two fields exclude each other, or that a column exists, they cannot say,
    "positive_data_acceptance",
    # nor that a string may hold anything: such cases are generated as if they were wrong.
    "negative_data_rejection",
)

ROWS = "a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'xyz'[i % 3]}\n" for i in range(60))


def run(server: Server, directory: Path, dataset: str, *options: str) -> None:
    command = [COMMAND, "run", f"{server.url}/openapi.json", "--url", server.url]
    command += ["--header", f"Authorization: Bearer {server.admin_key}", "--max-examples", str(EXAMPLES)]
    command += ["--exclude-checks", ",".join(LEFT_OUT), "--request-timeout", "30", "--no-color"]
    command += ["--generation-database", "none", *options]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HOOKS),
        "KNOWN_DATASET": dataset,
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_phase_finds_nothing(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(workers=1)
    dataset = upload(server.client(), ROWS)["id"]
    # Keys are left out: it would revoke the one that it uses.
    run(server, tmp_path, dataset, "--exclude-path-regex", "/v1/keys")


def test_nothing_is_found_behind_ids_that_exist(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(workers=1)
    client = server.client()
    dataset = upload(client, ROWS)["id"]
    job = submit(client, dataset_id=dataset, target="kind", training={"epochs": 5})
    model = finished(client, job["id"])["model_id"]
    architecture = made(client.post("/v1/architectures", json={"layers": []}), 201)["id"]
    known = {"dataset_id": dataset, "job_id": job["id"], "model_id": model, "architecture_id": architecture}
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items())]
    (tmp_path / "schemathesis.toml").write_text("\n".join(lines) + "\n")
    options = ["--phases", "examples,coverage,fuzzing", "--include-path-regex", r"/v1/.*\{"]
    run(server, tmp_path, dataset, *options, "--exclude-method", "DELETE", "--exclude-path-regex", "/v1/keys")
    assert client.get(f"/v1/models/{model}").status_code == 200
