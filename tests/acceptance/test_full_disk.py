"""What a server does whose disk is full."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server, until
from tests.support.small_disk import fill, free, small_disk
from tests.support.training import LINE, started, submit, upload

pytestmark = pytest.mark.heavy

MIB = 2**20
ROOM = 48 * MIB
RESERVE = 8 * MIB
SLOW = {"training": {"epochs": 1_000_000, "batch_size": 4, "early_stopping": None}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("full") / "disk", ROOM) as found:
        yield found


@pytest.fixture(scope="module")
def small_server(place: Path, new_server: Callable[..., Server]) -> Server:
    return new_server(data_dir=place, workers=1, disk_reserve_bytes=RESERVE)


def refused(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 507, answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["code"], answer.headers["content-type"]) == ("disk_full", "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0
    return problem


def disk(client: httpx.Client) -> str:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    word: str = answer.json()["disk"]
    return word


def test_creating_is_refused_and_everything_else_goes_on(small_server: Server, place: Path) -> None:
    client = small_server.client()
    data = upload(client, LINE)
    job = submit(client, dataset_id=data["id"], target="y", **SLOW)
    started(client, job["id"])
    until(lambda: (small_server.data_dir / "ballast").exists())
    assert disk(client) == "ok"
    filler = fill(place, leave=RESERVE // 2)
    until(lambda: disk(client) == "low")
    problem = refused(client.post("/v1/datasets", content=LINE, headers={"Content-Type": "text/csv"}))
    assert problem["free_bytes"] < RESERVE < problem["needed_bytes"]
    refused(client.post("/v1/datasets", files={"file": ("line.csv", LINE)}))
    refused(client.post("/v1/architectures", json={"layers": []}))
    refused(client.post("/v1/jobs", json={"dataset_id": data["id"], "target": "y"}))
    assert client.patch(f"/v1/jobs/{job['id']}", json={"name": "kept"}).json()["name"] == "kept"
    fill(place)
    assert free(place) == 0
    assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code in (200, 202)
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled")
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.delete(f"/v1/datasets/{data['id']}").status_code == 204
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
    filler.unlink()
    until(lambda: disk(client) == "ok")
    upload(client, LINE)
    until(lambda: (small_server.data_dir / "ballast").exists())
    assert not list((small_server.data_dir / "incoming").iterdir())
    assert "unexpected" not in small_server.log.read_text()


@pytest.mark.parametrize("told", [True, False])
def test_an_upload_that_does_not_fit_leaves_nothing(small_server: Server, place: Path, *, told: bool) -> None:
    client = small_server.client()
    fill(place, leave=RESERVE + 4 * MIB)
    until(lambda: (small_server.data_dir / "ballast").exists())
    try:
        body = b"a,b\n" + b"1.25,2.5\n" * (8 * MIB // 9)
        content = body if told else (body[first : first + MIB] for first in range(0, len(body), MIB))
        headers = {"Content-Type": "text/csv"}
        problem = refused(client.post("/v1/datasets", content=content, headers=headers))
        assert problem["free_bytes"] > RESERVE - MIB  # refused before it had eaten the reserve
        assert not list((small_server.data_dir / "incoming").iterdir())
        assert free(place) > RESERVE - 2 * MIB
    finally:
        (place / "filler").unlink()


def test_a_form_is_kept_on_the_disk_whose_reserve_is_kept(small_server: Server, place: Path) -> None:
    client = small_server.client()
    api = small_server.processes().api.pid
    fill(place, leave=RESERVE + 6 * MIB)
    until(lambda: (small_server.data_dir / "ballast").exists())
    spooled: list[str] = []

    def form() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n'
        for number in range(12):
            yield b"1.25,2.5\n" * (MIB // 9)
            if number == 2:
                until(lambda: bool(_unnamed(api)))
                spooled.extend(_unnamed(api))
        yield b"\r\n--b--\r\n"

    try:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        problem = refused(client.post("/v1/datasets", content=form(), headers=headers))
        assert problem["free_bytes"] > RESERVE - MIB
        assert {Path(name).parent for name in spooled} == {small_server.data_dir / "incoming"}
        until(lambda: not _unnamed(api))
        assert free(place) > RESERVE + 5 * MIB
    finally:
        (place / "filler").unlink()


def _unnamed(pid: int) -> list[str]:
    """The files without a name that a process has open: the temporary ones."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name = os.readlink(descriptor)
            if name.endswith(" (deleted)") and not name.startswith(("/memfd:", "/dev/")):
                found.append(name)
    return found
