"""Values that are nowhere else, and a walk through the API that sends them everywhere."""

import gzip
import json
import secrets
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import psutil

from tests.support.server import Server, busiest, kill, until
from tests.support.training import Json, finished, made, submit, upload

NUMBER, OTHER, INPUT = 271828.1828459, -314159.2653589, 161803.3988749
"""Two cells of the dataset, and a value that is predicted for."""
WORD, UNKNOWN = "kanarienvogel-7f3a", "zeisig-2c9e"
"""A category of the dataset, and one that no model knows."""
CELLS = (*(str(each)[:12].lstrip("-") for each in (NUMBER, OTHER, INPUT)), WORD, UNKNOWN)
PACKED = tuple(struct.pack("<d", each) for each in (NUMBER, OTHER, INPUT))
LARGE = 1_200_000
"""More than a part of a form may be to stay in memory."""

CSV = "a,b,kind\n" + "".join(
    f"{NUMBER if i % 9 == 0 else i},{OTHER if i % 7 == 0 else i / 3},{(WORD, 'finch', 'wren')[i % 3]}\n"
    for i in range(90)
)
ROWS = [dict(zip(("a", "b", "kind"), line.split(","), strict=True)) for line in CSV.splitlines()[1:]]

FORMS: dict[str, bytes] = {
    "text/csv": CSV.encode(),
    "text/tab-separated-values": CSV.replace(",", "\t").encode(),
    "application/json": json.dumps({"rows": ROWS}).encode(),
    "text/plain": "".join(json.dumps(each) + "\n" for each in ROWS).encode(),
}
BAD_FILES: tuple[tuple[str, bytes], ...] = (
    ("text/csv", f"a,b\n{NUMBER},1\n{WORD}\n".encode()),
    ("text/csv", f'a,b\n{NUMBER},"{WORD}\n'.encode()),
    ("text/csv", f"a,b\n{NUMBER},\0{WORD}\n1,2\n".encode()),
    ("text/csv", f"a,b\n{NUMBER},1e999\n{WORD},2\n".encode()),
    ("application/json", f'[{{"a": {NUMBER}, "b": ["{WORD}"]}}]'.encode()),
    ("application/json", f'[{{"a": {NUMBER} "b": "{WORD}"}}]'.encode()),
    ("application/json", f'[{{"a": {NUMBER}, "a": "{WORD}"}}]'.encode()),
    ("text/plain", f'{{"a": {NUMBER}}}\n{{"a": "{WORD}\n'.encode()),
    ("application/gzip", gzip.compress(CSV.encode())[:-9]),
    ("application/octet-stream", b"\x80\x04\x95cposix\nsystem\n(S'" + WORD.encode() + b"'\ntR."),
)


class Walked(NamedTuple):
    """Keys that were used, and the answers that refused something."""

    keys: list[str]
    refused: list[httpx.Response]


def walk(server: Server, private_port: int) -> Walked:
    """Every kind of upload, job, answer and error, with the canaries in all of them."""
    client = server.client("write", "canaries")
    wrong = f"cr_{secrets.token_urlsafe(32)}"
    keys = [each.headers["authorization"].removeprefix("Bearer ") for each in (client, server.client())]
    refused: list[httpx.Response] = list(_bad_uploads(client))
    with server.client_with({"Authorization": f"Bearer {wrong}"}) as stranger:
        refused.append(stranger.get("/v1/jobs", params={"key": wrong}))
    for kind, content in FORMS.items():
        made(client.post("/v1/datasets", content=content, headers={"Content-Type": kind}), 201)
    many = CSV + "".join(f"{i},{i},finch\n" for i in range(LARGE // 12))
    made(client.post("/v1/datasets", files={"file": (f"{WORD}.csv", many)}, data={"name": "large"}), 201)
    hook = {"url": f"http://127.0.0.1:{private_port}/{secrets.token_hex(4)}"}
    made(client.post("/v1/webhooks", json=hook), 201)

    data = upload(client, CSV)
    body = {"dataset_id": data["id"], "target": "kind", "training": {"epochs": 3}}
    job = finished(client, submit(client, **body)["id"])
    assert job["status"] == "succeeded", job["error"]
    _read(client, job)
    refused += _predict(client, job["model_id"])
    _take_home(client, job["model_id"])
    refused += _bad_jobs(client, data["id"])
    training = {"epochs": 3, "optimizer": {"name": "gradient_descent", "learning_rate": 1e9}}
    finished(client, submit(client, dataset_id=data["id"], target="b", training=training)["id"])
    _fail(server, client, {**body, "training": {"epochs": 10_000_000, "early_stopping": None}})
    client.delete(f"/v1/models/{job['model_id']}")
    refused.append(client.post("/v1/keys", json={"name": WORD, "role": "admin"}))
    return Walked([*keys, wrong], refused)


def _take_home(client: httpx.Client, model: str) -> None:
    made(client.post(f"/v1/models/{model}/evaluations", json={"split": "train", "worst_rows": 100}), 201)
    for name in ("json", "python", "sql"):
        file = client.get(f"/v1/models/{model}/export", params={"format": name})
        assert file.status_code == 200, file.text
        if name == "json":
            assert WORD in file.text
            made(client.post("/v1/models", json=file.json()), 201)


def _bad_uploads(client: httpx.Client) -> Iterator[httpx.Response]:
    for kind, content in BAD_FILES:
        yield client.post("/v1/datasets", content=content, headers={"Content-Type": kind})
    yield client.post("/v1/datasets", content=b"--y\r\n" + CSV.encode(), headers={
        "Content-Type": "multipart/form-data; boundary=x"
    })  # fmt: skip


def _read(client: httpx.Client, job: Json) -> None:
    for path in ("", "/epochs", "/events", "/split", "/snapshots", "/manifest"):
        made(client.get(f"/v1/jobs/{job['id']}{path}"), 200)
    with client.stream(
        "GET", f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}
    ) as told:
        assert "job.succeeded" in told.read().decode()
    made(client.get(f"/v1/datasets/{job['dataset_id']}/rows"), 200)
    assert client.get(f"/v1/datasets/{job['dataset_id']}/content").status_code == 200


def _predict(client: httpx.Client, model_id: str) -> list[httpx.Response]:
    path, row = f"/v1/models/{model_id}/predict", {"a": INPUT, "b": OTHER}
    made(client.post(path, json={"rows": [row]}), 200)
    client.post(f"/v1/models/{model_id}/evaluate", json={"split": "test"})
    client.post(f"/v1/models/{model_id}/trace", json={"rows": [{**row, "kind": WORD}]})
    bad: list[Any] = [
        {"rows": [{"a": UNKNOWN, "b": OTHER}]},
        {"rows": [{"a": INPUT}]},
        {"rows": [{**row, "c": UNKNOWN}]},
        {"rows": [[INPUT, OTHER, UNKNOWN]]},
        {"rows": UNKNOWN, "more": INPUT},
        {"rows": [{"a": 10**400, "b": {"c": UNKNOWN}}]},
    ]
    answers = [client.post(path, json=each) for each in bad]
    answers.append(client.post(path, content=f'{{"rows": [{{"a": {INPUT}, "b": "{UNKNOWN}'.encode()))
    traced = {"rows": [{**row, "kind": UNKNOWN}]}
    return [*answers, client.post(f"/v1/models/{model_id}/trace", json=traced)]


def _bad_jobs(client: httpx.Client, dataset_id: str) -> Iterator[httpx.Response]:
    for body in (
        {"dataset_id": dataset_id, "target": "kind", "training": {"epochs": 0}},
        {"dataset_id": dataset_id, "target": "c"},
        {"dataset_id": dataset_id, "target": "a", "task": "classification", "training": {"stratify": True}},
        {"dataset_id": dataset_id, "target": "a", "training": {"sample_weight_column": "b"}},
    ):
        yield client.post("/v1/jobs", json=body)


def _fail(server: Server, client: httpx.Client, body: Json) -> None:
    """A job that takes its trainer down until it has failed."""
    job_id = submit(client, **body)["id"]

    def status() -> str:
        return str(made(client.get(f"/v1/jobs/{job_id}"), 200)["status"])

    while status() != "failed":
        until(lambda: status() in ("running", "failed"))
        if status() == "running":
            trainers: list[psutil.Process] = until(lambda: server.processes().trainers)
            kill(busiest(trainers))


def leaks(content: bytes, keys: list[str], cells: bool = True) -> list[object]:
    """The keys and the cells that are in it."""
    wanted = [*keys, *(CELLS if cells else ())]
    return [
        each for each in (*(word.encode() for word in wanted), *(PACKED if cells else ())) if each in content
    ]
