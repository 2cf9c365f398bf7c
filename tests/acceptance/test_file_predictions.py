"""Files of rows, answered with files: what JSON says of the same rows, in every type; and what is refused."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, Json, made, train, upload

pytestmark = pytest.mark.heavy

NETWORK = {"layers": [{"units": 8, "activation": "tanh"}]}
CSV, NPY = "text/csv", "application/x-npy"
JSON_LINES = "application/jsonl"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.file"
FEW = "\n".join(PENGUINS.read_text().splitlines()[:40]) + "\n"


class Model:
    def __init__(self, client: httpx.Client, content: bytes | str, target: str, **options: Any) -> None:
        self.client = client
        dataset = upload(client, content)["id"]
        options = {"training": {"epochs": 20}, "architecture": NETWORK, **options}
        self.id = train(client, dataset_id=dataset, target=target, **options)["model_id"]
        described = made(client.get(f"/v1/models/{self.id}"), 200)
        self.features = [each["name"] for each in described["inputs"]]
        self.classes = described["classes"]
        page = made(client.get(f"/v1/datasets/{dataset}/rows", params={"limit": 39}), 200)
        self.rows: list[Json] = page["data"]

    def send(self, content: str | bytes, kind: str = CSV, accept: str = "*/*") -> httpx.Response:
        headers = {"Content-Type": kind, "Accept": accept}
        return self.client.post(f"/v1/models/{self.id}/predict", content=content, headers=headers)

    def said(self, rows: list[Json]) -> Json:
        return made(self.client.post(f"/v1/models/{self.id}/predict", json={"rows": rows}), 200)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "files of rows")


@pytest.fixture(scope="module")
def sorting(client: httpx.Client) -> Model:
    return Model(client, PENGUINS.read_bytes(), "species")


@pytest.fixture(scope="module")
def fitting(client: httpx.Client) -> Model:
    return Model(client, LINE, "y")


def of_csv(content: bytes) -> list[Json]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def of_lines(content: bytes) -> list[Json]:
    return [json.loads(line) for line in content.splitlines()]


ANSWERS: dict[str, Callable[[bytes], list[Json]]] = {
    CSV: of_csv,
    "text/tab-separated-values": lambda content: list(
        csv.DictReader(io.StringIO(content.decode()), delimiter="\t")
    ),
    JSON_LINES: of_lines,
    PARQUET: lambda content: pl.read_parquet(content).to_dicts(),
    ARROW: lambda content: pl.read_ipc(content).to_dicts(),
}


@pytest.mark.parametrize("accept", ANSWERS)
def test_a_file_gets_what_its_rows_get(sorting: Model, accept: str) -> None:
    response = sorting.send(FEW, accept=accept)
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, accept)
    assert "attachment" in response.headers["content-disposition"]
    found, said = ANSWERS[accept](response.content), sorting.said(sorting.rows)
    sent = of_csv(FEW.encode())
    assert list(found[0]) == [*sent[0], "prediction", *(f"probability_{each}" for each in sorting.classes)]
    assert [each["prediction"] for each in found] == said["predictions"]
    assert [each["island"] for each in found] == [each["island"] for each in sent]
    shares = [[float(row[f"probability_{name}"]) for name in sorting.classes] for row in found]
    expected = [[each[name] for name in sorting.classes] for each in said["probabilities"]]
    np.testing.assert_allclose(shares, expected, rtol=0, atol=1e-6)


def test_a_file_is_answered_in_its_own_type_unless_told(sorting: Model) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in sorting.rows)
    for kind, accept, expected in (
        (CSV, "*/*", CSV),
        (JSON_LINES, "", JSON_LINES),
        ("application/x-ndjson", "application/*", JSON_LINES),
        (JSON_LINES, "image/png, text/csv;q=0.5", CSV),
        (JSON_LINES, f"text/csv;q=0.5, {PARQUET}", PARQUET),
        ("application/octet-stream", "*/*", CSV),
    ):
        response = sorting.send(FEW if kind == CSV else lines, kind, accept)
        assert response.headers["content-type"].partition(";")[0] == expected, (kind, accept)
        assert response.status_code == 200
    answers = {
        tuple(each["prediction"] for each in of_csv(sorting.send(sent, kind, CSV).content))
        for sent, kind in ((FEW, CSV), (lines, JSON_LINES), (gzip.compress(FEW.encode()), CSV))
    }
    assert answers == {tuple(sorting.said(sorting.rows)["predictions"])}


def test_files_with_types_of_their_own_are_read_too(sorting: Model) -> None:
    frame = pl.DataFrame(sorting.rows)
    parquet, arrow, stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    frame.write_ipc(arrow)
    frame.write_ipc_stream(stream)
    said = sorting.said(sorting.rows)["predictions"]
    for content, kind, answered in (
        (parquet, PARQUET, PARQUET),
        (arrow, ARROW, ARROW),
        (stream, "application/vnd.apache.arrow.stream", ARROW),
        (parquet, CSV, CSV),  # the content says what it is
    ):
        response = sorting.send(content.getvalue(), kind)
        assert response.headers["content-type"].partition(";")[0] == answered, response.text
        assert [each["prediction"] for each in ANSWERS[answered](response.content)] == said
    answer = pl.read_parquet(sorting.send(parquet.getvalue(), PARQUET).content)
    assert dict(answer.schema) == {**frame.schema, **dict(answer.schema)}


def test_cells_are_read_as_in_the_upload(fitting: Model) -> None:
    said = fitting.said([{"x": 1.5}, {"x": None}])["predictions"]
    for content in ("x;y\n1,5;\nNA;\n", "x\ty\n1.5\t\n?\t\n", '{"x": 1.5}\n{"y": 2}\n'):
        found = of_csv(fitting.send(content, accept=CSV).content)
        assert [float(each["prediction"]) for each in found] == pytest.approx(said, rel=1e-6)


@pytest.mark.slow
def test_a_matrix_of_very_many_rows_is_answered_too(fitting: Model) -> None:
    raw = np.linspace(0, 1, 5_000_001, dtype=np.float32)[:, np.newaxis]
    found = np.load(io.BytesIO(fitting.send(npy(raw), NPY).content))
    assert found.shape == raw.shape
    ends = fitting.said([{"x": 0.0}, {"x": 1.0}])["predictions"]
    np.testing.assert_allclose(found[[0, -1], 0], ends, rtol=1e-5)


def test_a_matrix_can_be_answered_with_rows(fitting: Model) -> None:
    response = fitting.send(npy(np.array([[1.5], [2.5]])), NPY, CSV)
    said = fitting.said([{"x": 1.5}, {"x": 2.5}])["predictions"]
    found = of_csv(response.content)
    assert [float(each["prediction"]) for each in found] == pytest.approx(said, rel=1e-6)


@pytest.mark.parametrize("accept", ["image/png", "application/json", "text/csv;q=0"])
def test_a_type_that_is_not_there_is_refused(sorting: Model, accept: str) -> None:
    problem = assert_problem(sorting.send(FEW, accept=accept), 422, "not_allowed", "Accept")
    assert PARQUET in problem["detail"]


def test_a_matrix_gets_a_matrix(client: httpx.Client, fitting: Model) -> None:
    raw = np.array([[each["x"]] for each in fitting.rows])
    said = fitting.said(fitting.rows)["predictions"]
    for dtype in ("<f8", "<f4"):
        response = fitting.send(npy(raw.astype(dtype)), NPY)
        assert (response.status_code, response.headers["content-type"]) == (200, NPY)
        found = np.load(io.BytesIO(response.content))
        assert (found.shape, found.dtype) == ((len(raw), 1), np.float64)
        np.testing.assert_allclose(found[:, 0], said, rtol=1e-12 if dtype == "<f8" else 1e-5)
    columns = np.load(io.BytesIO(fitting.send(npy(np.asfortranarray(raw)), NPY).content))
    np.testing.assert_allclose(columns[:, 0], said, rtol=1e-12)
    gap = np.load(io.BytesIO(fitting.send(npy(np.array([[np.nan]])), NPY).content))
    assert gap[0, 0] == pytest.approx(fitting.said([{"x": None}])["predictions"][0], rel=1e-6)
    none = np.load(io.BytesIO(fitting.send(npy(np.empty((0, 1))), NPY).content))
    assert none.shape == (0, 1)


def test_a_file_of_classes_can_be_had_as_a_matrix(sorting: Model) -> None:
    found = np.load(io.BytesIO(sorting.send(FEW, accept=NPY).content))
    said = sorting.said(sorting.rows)["probabilities"]
    np.testing.assert_allclose(found, [[each[name] for name in sorting.classes] for each in said], atol=1e-6)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def headed(header: bytes, rest: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rest


NO_MATRIX: dict[str, bytes] = {
    "nothing but text": b"x\n1\n",
    "2^40 rows": headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 1), }\n"),
    "10^12 elements of no bytes": headed(
        b"{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000, 1), }\n"
    ),
    "no elements, and 10^15 columns": headed(
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000000), }\n"
    ),
    "9,000 brackets": headed(b"(" * 9000 + b"\n"),
    "brackets": headed(b"(" * 900 + b"\n"),
    "a call": headed(b"__import__('os').system('true')\n"),
    "a negative shape": headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 1), }\n"),
    "objects": npy(np.array([[{}]], dtype=object)),
    "big-endian numbers": npy(np.ones((1, 1), ">f8")),
    "complex numbers": npy(np.ones((1, 1), complex)),
    "a vector": npy(np.ones(3)),
    "two columns": npy(np.ones((3, 2))),
    "half of it": npy(np.ones((3, 1)))[:-1],
    "more than it": npy(np.ones((3, 1))) + b"\0",
    "an infinite number": npy(np.array([[np.inf]])),
    "the future": b"\x93NUMPY\x09\x00",
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_MATRIX)
def test_what_is_no_matrix_of_the_models_is_refused(fitting: Model, kind: str) -> None:
    assert_problem(fitting.send(NO_MATRIX[kind], NPY), 422, param="body")


def test_a_matrix_cannot_hold_categories(sorting: Model) -> None:
    assert_problem(sorting.send(npy(np.ones((1, len(sorting.features)))), NPY), 422, "wrong_type", "body")


def test_columns_that_do_not_fit_are_named(sorting: Model) -> None:
    header, *rows = FEW.splitlines()
    renamed = "\n".join([header.replace("island", "iland"), *rows])
    problem = assert_problem(sorting.send(renamed), 422, "missing_column", "columns.island")
    hints = {each["param"]: each["hint"] for each in problem["errors"]}
    assert hints["columns.iland"] == "Did you mean 'island'?"


def test_cells_that_do_not_fit_are_named(sorting: Model) -> None:
    bad = FEW.replace(",39.1,", ",thirty-nine,")
    problem = assert_problem(sorting.send(bad), 422, "not_a_number", "columns.bill_length_mm")
    assert "Row 1" in problem["errors"][0]["message"]
    assert "thirty" not in json.dumps(problem)
    assert_problem(sorting.send(FEW.replace(",39.1,", ",1e999,")), 422, "infinite_number")


@pytest.mark.parametrize("content", ["", "\n", FEW.splitlines()[0] + "\n", "\0", '"', "a,a\n1,2\n"])
def test_what_is_no_table_of_rows_is_refused(sorting: Model, content: str) -> None:
    assert_problem(sorting.send(content), 422)


def test_one_row_is_enough(fitting: Model) -> None:
    found = of_csv(fitting.send("x\n1.5\n").content)
    assert float(found[0]["prediction"]) == pytest.approx(fitting.said([{"x": 1.5}])["predictions"][0])


def test_odd_values_are_counted(sorting: Model) -> None:
    response = sorting.send(FEW.replace("Torgersen", "Elba"))
    assert response.headers["chainrule-warnings"] == f"unknown_category={FEW.count('Torgersen')}"
    row = {**sorting.rows[0], "island": "Elba"}
    assert of_csv(response.content)[0]["prediction"] == sorting.said([row])["predictions"][0]
    assert "chainrule-warnings" not in sorting.send(FEW).headers


def test_cells_come_back_as_they_were_sent(client: httpx.Client) -> None:
    """Those that a spreadsheet would compute too, and a delimiter within quotes."""
    cells = ["=1+1", "+2", "-3", "@SUM(A1)", 'say "hi"', "a,b", "ü€😀", "x\ty"]
    rows = [(cell, n) for n, cell in enumerate(cells * 10)]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("word", "y"), *rows])
    model = Model(client, buffer.getvalue(), "y", features=["word"], task="regression")
    found = of_csv(model.send(buffer.getvalue()).content)
    assert [each["word"] for each in found] == [cell for cell, _ in rows]


def test_another_type_is_refused(sorting: Model) -> None:
    assert_problem(sorting.send(FEW, "image/png"), 415)
    assert_problem(sorting.send(FEW, "multipart/form-data; boundary=x"), 415)
    response = sorting.client.post("/v1/models/mdl_none/predict", content=FEW, headers={"Content-Type": CSV})
    assert_problem(response, 404)


def test_nothing_is_left_of_it(server: Server, sorting: Model) -> None:
    assert sorting.send(FEW).status_code == 200
    assert sorting.send("\0").status_code == 422
    assert list((server.data_dir / "incoming").iterdir()) == []
