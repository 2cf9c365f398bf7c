"""What the server answers is what the OpenAPI document says: no field missing, none unsaid."""

import re
from copy import deepcopy
from typing import Any

import httpx
import jsonschema_rs
import pytest
import sqlalchemy as sa

from app.storage.tables import AuditEntry
from tests.support.server import Server, until
from tests.support.training import LINE, PENGUINS, finished, submit, train, upload

Json = dict[str, Any]

CHANGE_NOTHING = {
    "POST /v1/jobs/plan",
    "POST /v1/models/{model_id}/evaluate",
    "POST /v1/models/{model_id}/trace",
    "POST /v1/models/{model_id}/predict",
    "POST /v2/models/{model_id}/infer",
    "POST /v2/models/{model_id}/versions/{version}/infer",
}
"""Operations other than reading whose success leaves no entry in the audit log; every other leaves one."""


class Documented:
    """A client whose every JSON answer must be as documented."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.document: Json = client.get("/openapi.json").json()
        self.seen: set[str] = set()
        self.done: dict[str, str] = {}
        self._components = deepcopy(self.document["components"])
        for schema in self._components["schemas"].values():
            if schema.get("properties"):  # clients accept unknown fields, but all of today's are to be named
                schema["additionalProperties"] = False

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        response = self.client.request(method, path, **options)
        template = self._template(response.request.url.path)
        responses = self.document["paths"][template][method.lower()]["responses"]
        assert str(response.status_code) in responses, (template, response.status_code)
        documented = responses[str(response.status_code)]
        if "$ref" in documented:
            documented = self._components["responses"][str(response.status_code)]
        for name, header in documented["headers"].items():
            assert name in response.headers or not header.get("required"), (template, name)
        self.seen.add(f"{method} {template}")
        if method != "GET" and response.is_success:
            self.done[response.headers["x-request-id"]] = f"{method} {template}"
        if response.status_code == 204:
            return None
        kind = response.headers["content-type"].partition(";")[0]
        schema = documented["content"][kind].get("schema", {})
        if "json" not in kind:
            return response.content
        body = response.json()
        jsonschema_rs.validate({"components": self._components, **schema}, body)
        return body

    def _template(self, path: str) -> str:
        found = [
            each for each in self.document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)
        ]
        return str(min(found, key=lambda each: each.count("{")))


@pytest.fixture
def ask(server: Server) -> Documented:
    return Documented(server.client("admin", "as documented"))


def test_every_operation_answers_as_documented(ask: Documented, server: Server) -> None:
    client = ask.client
    flowers = upload(client, PENGUINS.read_bytes(), "penguins")["id"]
    line = upload(client, LINE, "line")["id"]
    options = {"epochs": 20, "weight_decay": 0.001}
    weighted = {
        "class_weight": "balanced",
        "sample_weight_column": "year",
        "gradient_clip_norm": 1.0,
        "learning_rate_schedule": {"name": "cosine"},
        "time_budget_seconds": 60.0,
    }
    sorting = train(client, dataset_id=flowers, target="species", training={**options, **weighted})
    fitting = train(client, dataset_id=line, target="y", features=["x"], training=options)
    rate = {"name": "gradient_descent", "learning_rate": 1e30}
    lost = submit(client, dataset_id=line, target="y", training={"optimizer": rate, "standardize": False})[
        "id"
    ]
    assert finished(client, lost)["result"]["stop_reason"] == "diverged"

    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
        ask("GET", path)
    for path in ("/metrics", "/v1", "/v1/workers", "/v2"):
        ask("GET", path)
    _datasets(ask, flowers)
    _architectures(ask)
    _keys(ask)
    _audit(ask)
    for job in (sorting["id"], fitting["id"], lost):
        for part in ("", "/epochs", "/split", "/events", "/snapshots", "/manifest"):
            ask("GET", f"/v1/jobs/{job}{part}")
    _jobs(ask, flowers)
    _comparing(ask, flowers)
    x = ask("GET", f"/v1/datasets/{line}/rows", params={"limit": 1})["data"][0]
    _models(ask, fitting["model_id"], {"inputs": [[0.5]]}, {"inputs": [[0.5]], "targets": [[0.1]]}, x)
    row = ask("GET", f"/v1/datasets/{flowers}/rows", params={"limit": 1})["data"][0]
    _models(ask, sorting["model_id"], {"rows": [{**row, "island": "Elba"}]}, {"rows": [row]}, row)
    ask("POST", f"/v1/jobs/{lost}/retry")
    assert finished(client, lost)["retries"] == 1
    ask("DELETE", f"/v1/jobs/{lost}")
    ask("DELETE", f"/v1/datasets/{line}")
    _webhooks(ask)  # when no job is left that could have anything to send

    documented = {
        f"{method.upper()} {path}" for path, methods in ask.document["paths"].items() for method in methods
    }
    assert documented - ask.seen == set()
    with server.database() as database, database.reading() as session:
        logged = set(session.scalars(sa.select(AuditEntry.request_id)))
    assert {name for id_, name in ask.done.items() if id_ not in logged} == CHANGE_NOTHING
    changing = {name for name in documented if not name.startswith("GET")}
    assert changing - set(ask.done.values()) == set()


def _datasets(ask: Documented, dataset: str) -> None:
    made = ask("POST", "/v1/datasets", json={"rows": [{"x": 1, "d": "2026-01-02"}, {"x": 2.5, "d": None}]})
    ask("POST", "/v1/datasets", json={"rows": [{"x": 1}]})
    ask("POST", "/v1/datasets", content=b"x", headers={"Content-Type": "image/png"})
    ask("GET", "/v1/datasets")
    ask("GET", f"/v1/datasets/{dataset}")
    ask("GET", f"/v1/datasets/{dataset}/content")
    for target in ({}, {"target": "species"}, {"target": "specie"}):
        ask("GET", f"/v1/datasets/{dataset}/profile", params=target)
    ask("PATCH", f"/v1/datasets/{made['id']}", json={"name": "two", "metadata": {"team": "a"}})
    assert len(ask("GET", "/v1/datasets", params={"metadata[team]": "a"})["data"]) == 1
    ask("PATCH", f"/v1/datasets/{made['id']}", json={"columns": {"x": {"type": "category"}}})
    ask("DELETE", f"/v1/datasets/{made['id']}")
    ask("GET", f"/v1/datasets/{made['id']}")
    content = b"x,y\n1,2\n3,4\n"
    part = {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}
    for size in (len(content), 5):
        begun = ask("POST", "/v1/uploads", json={"size_bytes": size, "name": "in parts"})
        ask("PATCH", f"/v1/uploads/{begun['id']}", content=content, headers=part)
        ask("GET", f"/v1/uploads/{begun['id']}")
        ask("GET", "/v1/uploads")
        ask("POST", f"/v1/uploads/{begun['id']}/complete")
    ask("DELETE", f"/v1/uploads/{begun['id']}")


def _architectures(ask: Documented) -> None:
    made = ask("POST", "/v1/architectures", json={"layers": [{"units": 3}]})
    ask("POST", "/v1/architectures", json={"layers": [{"units": 0}]})
    ask("GET", "/v1/architectures")
    ask("GET", f"/v1/architectures/{made['id']}")
    ask("PATCH", f"/v1/architectures/{made['id']}", json={"name": "three"})
    ask("DELETE", f"/v1/architectures/{made['id']}")


def _audit(ask: Documented) -> None:
    entry = ask("GET", "/v1/audit", params={"limit": 1})["data"][0]
    ask("GET", "/v1/audit", params={name: entry[name] for name in ("object_id", "action", "request_id")})
    ask("GET", "/v1/audit", params={"order": "sideways"})


def _keys(ask: Documented) -> None:
    made = ask(
        "POST", "/v1/keys", json={"name": "reader", "role": "read", "expires_at": "2090-01-01T00:00:00Z"}
    )
    ask("GET", "/v1/keys")
    ask("GET", f"/v1/keys/{made['id']}")
    ask("POST", "/v1/keys", json={"name": "x"}, headers={"Authorization": f"Bearer {made['secret']}"})
    ask("DELETE", f"/v1/keys/{made['id']}")
    ask("GET", "/v1/keys", headers={"Authorization": "Bearer nobody"})
    ask("GET", "/v1/projects")
    ask("GET", "/v1/projects/default")
    ask("GET", "/v1/projects/none")
    ask("GET", "/v1/limits")
    ask("PATCH", "/v1/projects/default", json={"max_running": 100})
    ask("PATCH", "/v1/projects/default", json={"max_running": None})
    ask("PATCH", "/v1/projects/as documented", json={"max_datasets": 0})
    ask("POST", "/v1/datasets", json={"rows": [{"x": 1}, {"x": 2}]})
    ask("PATCH", "/v1/projects/as documented", json={"max_datasets": None})
    ask("PATCH", "/v1/projects/none", json={"max_queued": -1})
    ask("PATCH", "/v1/projects/none", json={})


def _webhooks(ask: Documented) -> None:
    made = ask("POST", "/v1/webhooks", json={"url": "https://example.com/hook"})
    ask("POST", "/v1/webhooks", json={"url": "https://127.0.0.1/hook"})
    ask("GET", "/v1/webhooks")
    ask("PATCH", f"/v1/webhooks/{made['id']}", json={"enabled": False})
    ask("GET", f"/v1/webhooks/{made['id']}")
    ask("DELETE", f"/v1/webhooks/{made['id']}")


def _jobs(ask: Documented, dataset: str) -> None:
    body = {
        "dataset_id": dataset,
        "target": "species",
        "training": {"epochs": 100_000, "early_stopping": None},
    }
    ask("POST", "/v1/jobs/plan", json=body)
    running = ask("POST", "/v1/jobs", json=body)["id"]
    waiting = ask("POST", "/v1/jobs", json=body | {"name": "next"})["id"]
    ask("POST", "/v1/jobs", json=body | {"dataset_id": "ds_none"})
    ask("DELETE", f"/v1/jobs/{running}")
    ask("PATCH", f"/v1/jobs/{waiting}", json={"name": "last"})
    for job in (waiting, running):
        for action in ("retry", "pause", "pause", "resume"):
            ask("POST", f"/v1/jobs/{job}/{action}")
        ask("GET", f"/v1/jobs/{job}")
        ask("POST", f"/v1/jobs/{job}/cancel")
        ask("POST", f"/v1/jobs/{job}/cancel")
        ask("GET", f"/v1/jobs/{job}", params={"wait": 20, "wait_for": "terminal"})
        ask("GET", f"/v1/jobs/{job}/events")
    ask("GET", "/v1/jobs")


def _batches(ask: Documented, model: str, dataset: str) -> None:
    body = {"model_id": model, "dataset_id": dataset}
    begun = ask("POST", "/v1/batches", json=body)
    path = f"/v1/batches/{begun['id']}"
    until(lambda: ask.client.get(path).json()["status"] == "succeeded", 30)
    ask("GET", path)
    ask("POST", f"{path}/cancel")
    ask("DELETE", path)
    ask("GET", path)
    ask("POST", "/v1/batches", json={**body, "rows": []})
    path = f"/v1/batches/{ask('POST', '/v1/batches', json=body)['id']}"
    ask("DELETE", path)
    for _ in range(2):
        ask("POST", f"{path}/cancel")
    ask("GET", "/v1/batches")
    ask("DELETE", path)


def _open_inference(ask: Documented, model: str, row: Json) -> None:
    for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/1"):
        described = ask("GET", path)
        ask("GET", f"{path}/ready")
        body = {
            "id": "42",
            "inputs": [
                {"name": name, "datatype": kind, "shape": [1, 1], "data": [row[name]]}
                for name, kind in ((each["name"], each["datatype"]) for each in described["inputs"])
            ],
        }
        ask("POST", f"{path}/infer", json=body)
        ask("POST", f"{path}/infer", json=body | {"parameters": {"binary_data_output": True}})
        ask("POST", f"{path}/infer", json={"inputs": []})
        ask("POST", f"{path}/infer", content=b"{")
    ask("GET", f"/v2/models/{model}/versions/2")


def _comparing(ask: Documented, dataset: str) -> None:
    whole = {"dataset_id": dataset, "target": "species"}
    made = ask("POST", "/v1/splits", json=whole)
    ask("POST", "/v1/splits", json={**whole, "target": "island", "test_fraction": 1.0})
    ask("GET", "/v1/splits")
    for part in ("", "/rows"):
        ask("GET", f"/v1/splits/{made['id']}{part}")
    ask("PATCH", f"/v1/splits/{made['id']}", json={"name": "fair"})
    ask("POST", "/v1/jobs/plan", json={**whole, "training": {"split_id": made["id"]}})
    ask("DELETE", f"/v1/splits/{made['id']}")
    body = {**whole, "folds": 2, "training": {"epochs": 100_000, "early_stopping": None}}
    made = ask("POST", "/v1/cross-validations", json=body)
    ask("POST", "/v1/cross-validations", json={**body, "folds": 1})
    ask("GET", "/v1/cross-validations")
    path = f"/v1/cross-validations/{made['id']}"
    ask("GET", path)
    ask("PATCH", path, json={"name": "twice"})
    for _ in range(2):
        ask("POST", f"{path}/cancel")
    ask("DELETE", path)
    ask("GET", path)


def _models(ask: Documented, model: str, predicted: Json, traced: Json, row: Json) -> None:
    path = f"/v1/models/{model}"
    ask("GET", "/v1/models")
    made = ask("GET", path)
    ask("GET", f"{path}/parameters")
    ask("POST", f"{path}/evaluate", json={"split": "test"})
    body = {"split": "test", "importance": {"repeats": 1}, "worst_rows": 2}
    kept = ask("POST", f"{path}/evaluations", json=body)["id"]
    ask("GET", f"{path}/evaluations")
    ask("GET", f"{path}/evaluations/{kept}")
    ask("DELETE", f"{path}/evaluations/{kept}")
    ask("GET", f"{path}/evaluations/{kept}")
    ask("GET", f"{path}/export", params={"format": "sql"})
    file = ask("GET", f"{path}/export", params={"format": "json"})
    ask("DELETE", f"/v1/models/{ask('POST', '/v1/models', json=file)['id']}")
    ask("POST", "/v1/models", json={**file, "sha256": "0" * 64})
    ask("POST", f"{path}/trace", json=traced)
    ask("POST", f"{path}/predict", json=predicted)
    ask("POST", f"{path}/predict", json={"rows": [{**row, "never": 1}]})
    _open_inference(ask, model, row)
    _batches(ask, model, made["dataset_id"])
    ask("PATCH", path, json={"name": "best"})
    for _ in range(2):
        ask("PUT", "/v1/aliases/best", json={"model_id": model})
    ask("PUT", "/v1/aliases/b_st", json={"model_id": model})
    ask("GET", "/v1/aliases")
    ask("GET", "/v1/aliases/best")
    ask("DELETE", path)
    ask("DELETE", "/v1/aliases/best")
    ask("DELETE", path)
    ask("GET", path)
