"""The files of ``deploy/``, the Dockerfile and docker-compose.yml: sound, and the processes work as they say.

There need be no Docker here: the processes are started as Compose would, with nothing but their environment,
on a file system that cannot be written but for ``/data`` and ``/tmp``.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml

from app.settings import Settings
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy
from tests.support.server import COMMAND, until
from tests.support.training import LINE, finished, made, submit, upload

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
KEY = "a-key-of-a-test-of-compose"
OURS = ("migrate", "api", "worker")
SETTINGS = {f"CHAINRULE_{name.upper()}" for name in Settings.model_fields}
WRITABLE = """
mount --make-rprivate /
mount --bind {data} /mnt
mount -o remount,bind,ro /
mount -t tmpfs tmpfs /tmp
cd /mnt
umask 022
exec {command}
"""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def dockerfile(instruction: str) -> list[str]:
    """The arguments of each of these instructions in the last stage."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    last = text[text.rindex("\nFROM ") :]
    return re.findall(rf"^{instruction}\s+(.*)$", last, re.MULTILINE)


def test_compose_is_what_its_specification_allows(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "fixtures" / "compose-spec.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    assert [str(error) for error in validator.iter_errors(compose)] == []
    broken = {**compose, "services": {"api": {"read_only": [1]}}}
    assert not validator.is_valid(broken)


def test_containers_may_do_little(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert set(service["environment"]) <= SETTINGS
    assert dockerfile("USER") == ["chainrule"]
    assert "/readyz" in dockerfile("HEALTHCHECK")[0]
    variables = {each.partition("=")[0] for line in dockerfile("ENV") for each in shlex.split(line)}
    assert variables - {"PATH"} <= SETTINGS
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_and_packages_are_those_of_one_day(compose: dict[str, Any]) -> None:
    text = (ROOT / "Dockerfile").read_text()
    images = re.findall(r"^(?:ARG PYTHON=|FROM )(\S+)", text, re.MULTILINE)
    assert [each for each in images if each != "${PYTHON}"] == images[:1]
    full = re.compile(r"python:3\.\d+\.\d+-slim-\w+|postgres:\d+\.\d+-\w+|\S+@sha256:[0-9a-f]{64}")
    assert full.fullmatch(images[0])
    assert full.fullmatch(compose["services"]["postgres"]["image"])
    installs = re.findall(r"pip install (.*)$", text, re.MULTILINE)
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


def environment(compose: dict[str, Any], service: str, url: str) -> dict[str, str]:
    """What a container has: the image's, and the service's with the values of a file .env."""
    values = {"POSTGRES_PASSWORD": "secret", "CHAINRULE_ADMIN_KEY": KEY}
    image = dict(each.split("=", 1) for line in dockerfile("ENV") for each in shlex.split(line))
    ours = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda match: values[match[1]], value)
        for name, value in compose["services"][service]["environment"].items()
    }
    assert ours["CHAINRULE_DATABASE_URL"] == "postgresql://chainrule:secret@postgres/chainrule"
    here = {"CHAINRULE_DATABASE_URL": url, "CHAINRULE_HOST": "127.0.0.1", "CHAINRULE_PORT": "0"}
    return {**image, **ours, **here, **bare(), "CHAINRULE_DATA_DIR": "/mnt"}


def bare() -> dict[str, str]:
    """What a process needs to find this program, and nothing else."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


@pytest.fixture
def start(compose: dict[str, Any], postgres: Postgres, tmp_path: Path) -> Iterator[Any]:
    """Starts a service as a container would run it."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can make a file system read-only")
    proxy = Proxy(postgres.new_database())
    with ExitStack() as stack:
        stack.callback(proxy.close)

        def run(service: str, number: int = 1) -> subprocess.Popen[str]:
            data = tmp_path / f"{service}{number}"
            data.mkdir(mode=0o700)
            command = [COMMAND, *compose["services"][service]["command"]]
            script = WRITABLE.format(data=shlex.quote(str(data)), command=shlex.join(command))
            with (tmp_path / f"{service}{number}.log").open("w") as log:
                process = subprocess.Popen(
                    ["unshare", "--mount", "sh", "-ec", script],
                    env=environment(compose, service, proxy.url),
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            stack.callback(_end, process)
            return process

        yield run


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    with process:
        pass


@pytest.mark.slow
def test_the_processes_of_compose_work_together(start: Any, tmp_path: Path) -> None:
    with start("migrate") as migrate:
        assert migrate.wait(30) == 0, (tmp_path / "migrate1.log").read_text()
    api, workers = start("api"), [start("worker", number) for number in (1, 2)]
    first = api.stdout.readline()
    assert first.startswith("Chainrule listens on "), (tmp_path / "api1.log").read_text()
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=first.split()[-1], headers=headers, trust_env=False, timeout=60) as client:
        until(lambda: len(client.get("/v1/workers").json()["data"]) == 2, 20)
        dataset = upload(client, LINE)["id"]
        asked = {"dataset_id": dataset, "target": "y", "training": {"epochs": 20}}
        jobs = [finished(client, submit(client, **asked)["id"]) for _ in range(2)]
        assert [job["status"] for job in jobs] == ["succeeded"] * 2
        path = f"/v1/models/{jobs[0]['model_id']}/predict"
        made(client.post(path, json={"rows": [{"x": 1.0}]}), 200)
    for process in (*workers, api):
        process.terminate()
    assert [process.wait(20) for process in (*workers, api)] == [0, 0, 0]


def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    for unit in (ROOT / "deploy" / "systemd").iterdir():
        text = unit.read_text()
        (tmp_path / unit.name).write_text(text.replace("=/opt/chainrule/bin/chainrule-server", "=/bin/true"))
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_units_may_do_little_and_all_the_same() -> None:
    kept = []
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        hard = [line for line in lines[lines.index("DynamicUser=yes") :] if line and line[0] != "["]
        kept.append([line for line in hard if not line.startswith(("User=", "WantedBy="))])
        names = re.findall(r"CHAINRULE_\w+(?==)", unit.read_text())
        credentials = {name.upper() for name in re.findall(r"LoadCredential=(\w+)", unit.read_text())}
        assert {*names, *credentials} <= SETTINGS
    assert kept[0] == kept[1] == kept[2]
    assert {"ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="} <= {*kept[0]}


def test_secrets_are_taken_from_files(tmp_path: Path) -> None:
    (tmp_path / "chainrule_admin_key").write_text(f"{KEY}\n")
    (tmp_path / "chainrule_database_url").write_text("sqlite:////nowhere/at/all.sqlite\n")
    variables = {**bare(), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    done = subprocess.run([COMMAND, "backup", "x.tar"], env=variables, capture_output=True, text=True)
    assert "There is no database /nowhere/at/all.sqlite" in done.stderr
