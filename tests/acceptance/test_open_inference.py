"""The Open Inference Protocol by Triton's own client, beside our own predictions; and what it must refuse."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, Json, made, train, upload

PROJECT = "open inference"
NETWORK = {"layers": [{"units": 8, "activation": "tanh"}]}
SHORT = {"epochs": 30}


class Trained:
    """A model, the columns that it takes, and rows of its dataset."""

    def __init__(self, client: httpx.Client, content: bytes | str, target: str, **options: Any) -> None:
        dataset = upload(client, content)["id"]
        job = train(client, dataset_id=dataset, target=target, training=SHORT, **options)
        self.id = str(job["model_id"])
        model = made(client.get(f"/v1/models/{self.id}"), 200)
        self.classes: list[str] | None = model["classes"]
        self.types = {each["name"]: each["type"] for each in model["inputs"]}
        page = made(client.get(f"/v1/datasets/{dataset}/rows", params={"limit": 30}), 200)
        self.rows: list[Json] = page["data"]

    def answer(self, client: httpx.Client, rows: list[Json]) -> Json:
        return made(client.post(f"/v1/models/{self.id}/predict", json={"rows": rows}), 200)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", PROJECT)


@pytest.fixture(scope="module")
def sorting(client: httpx.Client) -> Trained:
    """Numbers and categories with missing values, and a boolean, to three classes."""
    lines = PENGUINS.read_text().splitlines()
    extended = [f"{line},{['true', 'false', ''][n % 3]}" for n, line in enumerate(lines[1:])]
    return Trained(client, "\n".join([f"{lines[0]},tagged", *extended]), "species", architecture=NETWORK)


@pytest.fixture(scope="module")
def fitting(client: httpx.Client) -> Trained:
    return Trained(client, LINE, "y", architecture=NETWORK)


@pytest.fixture(scope="module")
def inferring(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as opened:
        authorization = server.client("predict", PROJECT).headers["authorization"]
        opened.register_plugin(Keyed(authorization))
        yield opened


class Keyed(triton.InferenceServerClientPlugin):  # type: ignore[misc]
    """Triton's way to add a header to each request."""

    def __init__(self, authorization: str) -> None:
        super().__init__()
        self._authorization = authorization

    def __call__(self, request: Any) -> None:
        request.headers["Authorization"] = self._authorization


def tensors(trained: Trained, rows: list[Json], *, binary: bool) -> list[triton.InferInput]:
    made_inputs = []
    for name, kind in trained.types.items():
        values = [row[name] for row in rows]
        if kind == "number":
            column = np.array([[np.nan if value is None else value] for value in values], dtype=np.float64)
        else:
            texts = [
                "" if value is None else str(value).lower() if kind == "boolean" else value
                for value in values
            ]
            column = np.array([[text.encode()] for text in texts], dtype=np.object_)
        tensor = triton.InferInput(name, list(column.shape), "FP64" if kind == "number" else "BYTES")
        if not binary and kind == "number":  # the client's own JSON would have NaN, which is none
            column = np.where(np.isnan(column), 0.0, column)
        made_inputs.append(tensor.set_data_from_numpy(column, binary_data=binary))
    return made_inputs


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_tritons_client_gets_what_a_prediction_says(
    client: httpx.Client,
    inferring: triton.InferenceServerClient,
    sorting: Trained,
    binary_in: bool,
    binary_out: bool,
) -> None:
    rows = sorting.rows
    if not binary_in:
        rows = [row for row in rows if all(row[name] is not None for name in sorting.types)]
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "probabilities")
    ]
    found = inferring.infer(sorting.id, tensors(sorting, rows, binary=binary_in), outputs=wanted)
    expected = sorting.answer(client, rows)
    assert sorting.classes is not None
    labels, shares = found.as_numpy("label"), found.as_numpy("probabilities")
    assert labels.shape == (len(rows), 1)
    read = [each.decode() if isinstance(each, bytes) else each for each in labels[:, 0]]
    assert read == expected["predictions"]
    assert (shares.shape, shares.dtype) == ((len(rows), 3), np.float32)
    said = [[each[name] for name in sorting.classes] for each in expected["probabilities"]]
    np.testing.assert_allclose(shares, said, rtol=0, atol=1e-6)
    assert found.get_response()["model_name"] == sorting.id


def test_a_regression_answers_in_the_targets_units(
    client: httpx.Client, inferring: triton.InferenceServerClient, fitting: Trained
) -> None:
    found = inferring.infer(fitting.id, tensors(fitting, fitting.rows, binary=True), request_id="the-7th")
    predictions = found.as_numpy("predictions")
    assert (predictions.shape, predictions.dtype) == ((len(fitting.rows), 1), np.float64)
    expected = fitting.answer(client, fitting.rows)["predictions"]
    np.testing.assert_allclose(predictions[:, 0], expected, rtol=1e-12)
    assert found.get_response()["id"] == "the-7th"


def test_tritons_client_finds_its_way(
    client: httpx.Client, inferring: triton.InferenceServerClient, sorting: Trained
) -> None:
    assert inferring.is_server_live()
    assert inferring.is_server_ready()
    assert inferring.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert inferring.is_model_ready(sorting.id)
    assert inferring.is_model_ready(sorting.id, "1")
    described = inferring.get_model_metadata(sorting.id, "1")
    assert described["versions"] == ["1"]
    datatypes = {each["name"]: each["datatype"] for each in described["inputs"]}
    assert datatypes == {
        name: "FP64" if kind == "number" else "BYTES" for name, kind in sorting.types.items()
    }
    assert [(each["name"], each["shape"]) for each in described["outputs"]] == [
        ("probabilities", [-1, 3]),
        ("label", [-1, 1]),
    ]
    made(client.put("/v1/aliases/champion", json={"model_id": sorting.id}), 201)
    found = inferring.infer("champion", tensors(sorting, sorting.rows, binary=True), model_version="1")
    assert found.get_response()["model_name"] == sorting.id
    assert not inferring.is_model_ready("mdl_none")
    assert not inferring.is_model_ready(sorting.id, "2")
    with pytest.raises(InferenceServerException, match="no such model"):
        inferring.infer("mdl_none", tensors(sorting, sorting.rows, binary=True))


def test_many_rows_are_answered(
    client: httpx.Client, inferring: triton.InferenceServerClient, sorting: Trained
) -> None:
    rows = sorting.rows * 100
    found = inferring.infer(sorting.id, tensors(sorting, rows, binary=True))
    labels = [each.decode() for each in found.as_numpy("label")[:, 0]]
    assert labels == sorting.answer(client, sorting.rows)["predictions"] * 100


def number(name: str, data: list[Any] | None = None, **more: Any) -> Json:
    data = [0.5] if data is None else data
    return {"name": name, "datatype": "FP64", "shape": [len(data), 1], "data": data, **more}


def binary(name: str, size: Any, shape: list[int], datatype: str = "FP64") -> Json:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


X = number("x")
BAD: dict[str, tuple[Any, bytes, str]] = {
    "no inputs": ({"inputs": []}, b"", "'x' are absent"),
    "another input": ({"inputs": [number("xx")]}, b"", "Did you mean 'x'?"),
    "one twice": ({"inputs": [X, X]}, b"", "twice"),
    "a flat shape": ({"inputs": [{**X, "shape": [1]}]}, b"", "[rows, 1]"),
    "a wide shape": ({"inputs": [number("x", [1, 2], shape=[1, 2])]}, b"", "[rows, 1]"),
    "a negative shape": ({"inputs": [{**X, "shape": [-1, 1]}]}, b"", "shape"),
    "no shape": ({"inputs": [{"name": "x", "datatype": "FP64", "data": [1]}]}, b"", "shape"),
    "more rows than values": ({"inputs": [{**X, "shape": [2, 1]}]}, b"", "2 rows"),
    "2^40 rows": ({"inputs": [{**X, "shape": [2**40, 1]}]}, b"", "rows at once"),
    "2^40 bytes": ({"inputs": [binary("x", 2**40, [1, 1])]}, b"12345678", "8 are left"),
    "2^40 rows in binary": ({"inputs": [binary("x", 8, [2**40, 1])]}, b"12345678", "rows at once"),
    "bytes that are not there": ({"inputs": [binary("x", 8, [1, 1])]}, b"1234", "4 are left"),
    "bytes left over": ({"inputs": [binary("x", 8, [1, 1])]}, b"123456789", "1 bytes are left"),
    "a size of true": ({"inputs": [binary("x", True, [1, 1])]}, b"12345678", "binary_data_size"),
    "half a number": ({"inputs": [binary("x", 4, [1, 1])]}, b"1234", "8 bytes"),
    "text for a number": ({"inputs": [number("x", ["5"])]}, b"", "not FP64"),
    "true for a number": ({"inputs": [number("x", [True])]}, b"", "not FP64"),
    "a list of lists": ({"inputs": [number("x", [[1, 2]])]}, b"", "one value"),
    "an unknown datatype": ({"inputs": [{**X, "datatype": "COMPLEX"}]}, b"", "datatypes are"),
    "BYTES for a number": ({"inputs": [{**X, "datatype": "BYTES", "data": ["5"]}]}, b"", "Expected FP64"),
    "an infinite number": (
        {"inputs": [binary("x", 8, [1, 1])]}, np.array([np.inf]).tobytes(), "too large"
    ),
    "an unknown output": ({"inputs": [X], "outputs": [{"name": "nothing"}]}, b"", "predictions"),
    "neither data nor bytes": ({"inputs": [{**X, "data": None}]}, b"", "neither"),
    "a length beyond": (
        {"inputs": [X, binary("y", 7, [1, 1], "BYTES")]}, b"\xff\xff\xff\x7fabc", "longer"
    ),
    "half a length": ({"inputs": [X, binary("y", 3, [1, 1], "BYTES")]}, b"\0\0\0", "longer"),
    "no UTF-8": ({"inputs": [X, binary("y", 5, [1, 1], "BYTES")]}, b"\1\0\0\0\xff", "UTF-8"),
    "two texts for a row": ({"inputs": [X, binary("y", 8, [1, 1], "BYTES")]}, b"\0" * 8, "another number"),
    "a list": ([], b"", "an object"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_does_not_fit_is_refused(client: httpx.Client, fitting: Trained, kind: str) -> None:
    sent, rest, said = BAD[kind]
    header = json.dumps(sent).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))} if rest else {}
    path = f"/v2/models/{fitting.id}/infer"
    response = client.post(path, content=header + rest, headers=headers)
    problem = assert_problem(response, 413 if "at once" in said else 422)
    assert said in problem["detail"]


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "99999", "9" * 40])
def test_a_length_that_is_none_is_refused(client: httpx.Client, fitting: Trained, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    response = client.post(f"/v2/models/{fitting.id}/infer", content=b"{}", headers=headers)
    assert_problem(response, 400)


def test_every_error_is_the_protocols_own(server: Server, client: httpx.Client, fitting: Trained) -> None:
    path = f"/v2/models/{fitting.id}"
    with server.client_with({}) as nobody:
        assert_problem(nobody.get(path), 401)
        assert nobody.get("/v2/health/live").json() == {"live": True}
        assert nobody.get("/v2/health/ready").json() == {"ready": True}
    assert_problem(client.get("/v2/models/mdl_none"), 404)
    assert_problem(client.get(f"{path}/versions/2"), 404)
    assert_problem(client.get("/v2/nothing"), 404)
    assert_problem(client.delete(path), 405)
    assert_problem(client.post(f"{path}/infer", content=b"{"), 400)
    compressed = {"Content-Encoding": "gzip"}
    assert_problem(client.post(f"{path}/infer", content=b"{}", headers=compressed), 415)
    assert_problem(client.post(path, content=b" " * (2**20 + 1)), 413)


def test_what_the_protocol_may_yet_bring_is_let_through(client: httpx.Client, fitting: Trained) -> None:
    body = {"inputs": [{**X, "later": 1}], "outputs": [{"name": "predictions", "later": 1}], "later": {}}
    answer = made(client.post(f"/v2/models/{fitting.id}/infer", json=body), 200)
    assert [each["name"] for each in answer["outputs"]] == ["predictions"]


def test_another_column_of_the_dataset_is_ignored(client: httpx.Client, fitting: Trained) -> None:
    """The target, that is: whoever sends whole rows need not take it out."""
    plain = made(client.post(f"/v2/models/{fitting.id}/infer", json={"inputs": [X]}), 200)
    beside = made(client.post(f"/v2/models/{fitting.id}/infer", json={"inputs": [X, number("y")]}), 200)
    assert beside["outputs"] == plain["outputs"]


def test_an_unknown_category_is_none_of_the_known(client: httpx.Client, sorting: Trained) -> None:
    row = {**sorting.rows[0], "island": "Elba"}
    inputs = [
        {"name": name, "datatype": "FP64" if kind == "number" else "BYTES", "shape": [1, 1],
         "data": [str(row[name]).lower() if kind == "boolean" and row[name] is not None else row[name]]}
        for name, kind in sorting.types.items()
    ]  # fmt: skip
    answer = made(client.post(f"/v2/models/{sorting.id}/infer", json={"inputs": inputs}), 200)
    by_name = {each["name"]: each["data"] for each in answer["outputs"]}
    assert by_name["label"] == sorting.answer(client, [row])["predictions"]
