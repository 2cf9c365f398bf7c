"""Schemathesis against a running server: no 500, and no answer that OpenAPI does not describe."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.training import finished, made, submit, upload

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "st")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
EXAMPLES = 40
SECONDS = 1800
REQUESTS = int(os.environ.get("CHAINRULE_TEST_REQUESTS", "1"))
"""Least number of requests for each database; a run of each test makes some thousands in any case."""

SEED = int(os.environ.get("CHAINRULE_TEST_SEED", "1"))
SPARED = ("DELETE /v1/keys/{key_id}", "PATCH /v1/projects/{name}")
"""They would take away the key that is used, or what its project may do."""

LEFT_OUT = (
    # Schemas describe shapes. That two fields exclude each other, or that a column exists, they cannot say,
    "positive_data_acceptance",
    # nor that a string may hold anything: such cases are generated as if they were wrong.
    "negative_data_rejection",
)

ROWS = "a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'xyz'[i % 3]}\n" for i in range(60))


def run(server: Server, directory: Path, dataset: str, *options: str) -> Counter[int]:
    """The answers by status, of a run that has found nothing."""
    command = [COMMAND, "run", f"{server.url}/openapi.json", "--url", server.url]
    command += ["--header", f"Authorization: Bearer {server.admin_key}", "--max-examples", str(EXAMPLES)]
    command += ["--exclude-checks", ",".join(LEFT_OUT), "--request-timeout", "30", "--no-color"]
    command += ["--generation-database", "none", *options]
    for name in SPARED:
        command += ["--exclude-name", name]
    counts = directory / "counts.json"
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HOOKS),
        "KNOWN_DATASET": dataset,
        "COUNTS": str(counts),
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return Counter({int(status): count for status, count in json.loads(counts.read_text()).items()})


def rounds(server: Server, directory: Path, dataset: str, *options: str) -> None:
    """Runs with seeds of their own, until there were as many requests as asked for."""
    statuses: Counter[int] = Counter()
    for seed in itertools.count(SEED):
        statuses += run(server, directory, dataset, "--seed", str(seed), *options)
        if statuses.total() >= REQUESTS / 2:
            break
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"\n{statuses.total()} requests, seeds {SEED} to {seed}: {told}")
    assert statuses.total() > 0
    assert [status for status in statuses if status >= 500] == []
    assert "unexpected error" not in server.log.read_text()


def test_every_phase_finds_nothing(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(workers=1, max_wait_seconds=2)
    rounds(server, tmp_path, upload(server.client(), ROWS)["id"])


def test_nothing_is_found_behind_ids_that_exist(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(workers=1, max_wait_seconds=2)
    client = server.client()
    dataset = upload(client, ROWS)["id"]
    job = submit(client, dataset_id=dataset, target="kind", training={"epochs": 5})
    model = finished(client, job["id"])["model_id"]
    made(client.put("/v1/aliases/best", json={"model_id": model}), 201)
    key = made(client.post("/v1/keys", json={"name": "other", "project": "other"}), 201)["id"]
    architecture = made(client.post("/v1/architectures", json={"layers": []}), 201)["id"]
    known = {
        "dataset_id": dataset,
        "job_id": job["id"],
        "model_id": model,
        "architecture_id": architecture,
        "key_id": key,
        "alias": "best",
        "name": "other",
    }
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items())]
    (tmp_path / "schemathesis.toml").write_text("\n".join(lines) + "\n")
    options = ["--phases", "examples,coverage,fuzzing", "--include-path-regex", r"/v1/.*\{"]
    rounds(server, tmp_path, dataset, *options, "--exclude-method", "DELETE")
    assert client.get(f"/v1/models/{model}").status_code == 200
