"""Twenty-five nasty inputs, by number: no 500, and answers that name the place, the kind and a way out.

What they are about in general is in test_bad_input.py and test_bad_files.py; here each is sent as it stands.
"""

import gzip
import io
import json
import os
import socket
import struct
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.problems import assert_problem, without_chance
from tests.support.server import Server, until
from tests.support.training import XOR, Json, finished, history, made, submit, train, upload

CHUNKS = int(os.environ.get("CHAINRULE_TEST_CHUNKS", "500000"))
JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}
WHOLE = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
ENDLESS = {**WHOLE, "epochs": 10_000_000}
PROMPT = 5.0
"""Seconds within which everything is refused that needs no reading; the machine may be busy."""


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "nasty")


@pytest.fixture(scope="module")
def stranger(server: Server) -> httpx.Client:
    return server.client("write", "nasty as well")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> str:
    found: str = upload(client, XOR)["id"]
    return found


@pytest.fixture(scope="module")
def job(client: httpx.Client, dataset: str) -> Json:
    """One that has succeeded."""
    return train(client, dataset_id=dataset, target="y", training=WHOLE)


@pytest.fixture(scope="module")
def files(shared_servers: Callable[[str], Server]) -> httpx.Client:
    """Sends files, to SQLite alone: how they are read has nothing to do with the database."""
    return shared_servers("sqlite").client("write", "nasty files")


def refused(
    response: httpx.Response, status: int, code: str | None = None, param: str | None = None, way: str = ""
) -> Json:
    """A short problem whose first fault has a place where it can have one, a kind, and a way out."""
    problem = assert_problem(response, status, code, param)
    assert len(response.content) < 4_000
    assert problem["errors"]
    told = json.dumps(problem["errors"])
    assert way in told
    assert way or any(each["hint"] or "should" in each["message"] for each in problem["errors"]), told
    return problem


def job_body(dataset: str, more: str) -> bytes:
    return f'{{"dataset_id": "{dataset}", "target": "y", {more}}}'.encode()


def post_job(client: httpx.Client, dataset: str, more: str) -> httpx.Response:
    return client.post("/v1/jobs", content=job_body(dataset, more), headers=JSON)


RATE = '"training": {"optimizer": {"learning_rate": %s}}'
PLACE = "training.optimizer.learning_rate"


@pytest.mark.parametrize("number", ["NaN", "-Infinity"])
def test_01_numbers_that_are_no_json(client: httpx.Client, dataset: str, job: Json, number: str) -> None:
    refused(post_job(client, dataset, RATE % number), 422, "not_finite", PLACE, "null")
    for path in ("/v1/architectures", "/v1/datasets", f"/v1/models/{job['model_id']}/predict"):
        response = client.post(path, content=b'{"rows": [{"x1": %s}]}' % number.encode(), headers=JSON)
        refused(response, 422, param="rows[0].x1")


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_02_a_number_beyond_float64(client: httpx.Client, dataset: str, job: Json, number: str) -> None:
    refused(post_job(client, dataset, RATE % number), 422, "not_finite", PLACE, "1.79e308")
    for path in ("/v1/datasets", f"/v1/models/{job['model_id']}/predict"):
        response = client.post(path, content=b'{"rows": [{"x1": %s}]}' % number.encode(), headers=JSON)
        refused(response, 422, param="rows[0].x1")


def test_03_half_of_a_surrogate_pair(client: httpx.Client, dataset: str, job: Json) -> None:
    refused(post_job(client, dataset, r'"name": "\ud800"'), 422, "lone_surrogate", "name", "UTF-8")
    for path in ("/v1/datasets", f"/v1/models/{job['model_id']}/predict"):
        response = client.post(path, content=b'{"rows": [{"x1": "\\ud800"}]}', headers=JSON)
        refused(response, 422, "lone_surrogate", way="UTF-8")


def test_04_a_nul(client: httpx.Client, dataset: str) -> None:
    refused(post_job(client, dataset, r'"name": "a\u0000b"'), 422, "invalid", "name", "not allowed")
    assert_problem(client.get("/v1/jobs/job_%00"), 400)
    assert_problem(client.get("/v1/jobs", params={"name": "a\0b"}), 400)


def test_05_integers_beyond_64_bits(client: httpx.Client, dataset: str, job: Json) -> None:
    epochs = '"training": {"epochs": 9223372036854775808}'
    refused(post_job(client, dataset, epochs), 422, "out_of_range", "training.epochs", "10000000")
    path = f"/v1/jobs/{job['id']}"
    response = client.get(f"{path}/epochs?after_epoch=9223372036854775808")
    refused(response, 422, "out_of_range", "after_epoch")
    refused(client.get(f"{path}/events?after=9223372036854775808"), 422, "out_of_range", "after")
    seed = '"training": {"seed": 9223372036854775808}'
    refused(post_job(client, dataset, seed), 422, "out_of_range", "training.seed")


@pytest.mark.parametrize("digits", [300, 4_000, 5_000])
def test_06_endless_digits(client: httpx.Client, dataset: str, digits: int) -> None:
    response = post_job(client, dataset, f'"training": {{"epochs": {"9" * digits}}}')
    problem = assert_problem(response, 422, param="training.epochs")
    assert len(response.content) < 2_000
    assert "99999" not in json.dumps(problem)


@pytest.mark.parametrize("value", ["true", '"1_0"', "1.0", "1.5", '"5"', "null", "[1]"])
def test_07_what_only_looks_like_an_integer(client: httpx.Client, dataset: str, value: str) -> None:
    response = post_job(client, dataset, f'"training": {{"epochs": {value}}}')
    refused(response, 422, "wrong_type", "training.epochs", "integer")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_08_depth(client: httpx.Client, body: bytes) -> None:
    for path in ("/v1/jobs", "/v1/datasets"):
        start = time.monotonic()
        response = client.post(path, content=body, headers=JSON)
        assert response.status_code in (400, 422)
        assert_problem(response, response.status_code)
        assert len(response.content) < 2_000
        assert time.monotonic() - start < PROMPT


def test_09_json_that_readers_understand_differently(client: httpx.Client, dataset: str) -> None:
    twice = '"training": {"optimizer": {"learning_rate": 1, "learning_rate": -5}}'
    refused(post_job(client, dataset, twice), 400, "malformed_json", PLACE, "send one")
    body = job_body(dataset, '"name": "x"').decode()
    for wrong in (body.encode("utf-16"), body.encode("utf-16-le"), body.encode("utf-32")):
        assert_problem(client.post("/v1/jobs", content=wrong, headers=JSON), 400, "malformed_json")
    marked = client.post("/v1/jobs", content=body.encode("utf-8-sig"), headers=JSON)
    refused(marked, 400, "malformed_json", way="Leave it out")
    for charset in ("bogus", "utf-16", "latin-1", '"'):
        headers = {"Content-Type": f"application/json; charset={charset}"}
        problem = assert_problem(client.post("/v1/jobs", content=body.encode(), headers=headers), 415)
        assert "UTF-8" in problem["detail"]
    headers = {"Content-Type": 'application/json; charset="UTF-8"'}
    assert_problem(client.post("/v1/jobs", content=b"{}", headers=headers), 422, "missing_field")


LAYERS: dict[str, tuple[list[Json], str, str]] = {
    "two of a million": ([{"units": 1_000_000}] * 2, "architecture.layers[0].units", "65536"),
    "10,000 of one": ([{"units": 1}] * 10_000, "architecture.layers", "64"),
    "of none": ([{"units": 0}], "architecture.layers[0].units", "1"),
    "of less than none": ([{"units": -1}], "architecture.layers[0].units", "1"),
    "two of 60,000": ([{"units": 60_000}] * 2, "architecture.layers", "3600"),
    "of 2^63": ([{"units": 2**63}], "architecture.layers[0].units", "65536"),
    "many of 65,536": ([{"units": 65_536}] * 64, "architecture.layers", "270587"),
}


@pytest.mark.parametrize(("layers", "param", "figure"), LAYERS.values(), ids=LAYERS.keys())
def test_10_layers_that_cannot_be(
    client: httpx.Client, dataset: str, layers: list[Json], param: str, figure: str
) -> None:
    start = time.monotonic()
    body = {"dataset_id": dataset, "target": "y", "architecture": {"layers": layers}}
    refused(client.post("/v1/jobs", json=body), 422, "out_of_range", param, figure)
    assert time.monotonic() - start < PROMPT


def test_11_a_rate_of_1e308_diverges_in_valid_json(client: httpx.Client, dataset: str) -> None:
    training = {**WHOLE, "optimizer": {"name": "gradient_descent", "learning_rate": 1e308}}
    ended = finished(client, submit(client, dataset_id=dataset, target="y", training=training)["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "diverged")
    assert ended["result"]["stop_reason"] == "diverged"
    path = f"/v1/jobs/{ended['id']}"
    page = client.get(f"{path}/epochs").text
    (row,) = json.loads(page, parse_constant=pytest.fail)["data"]
    assert (row["epoch"], row["diverged"]) == (1, True)
    with client.stream("GET", f"{path}/events", headers={"Accept": "text/event-stream"}) as stream:
        lines = list(stream.iter_lines())
    told = [json.loads(line[6:], parse_constant=pytest.fail) for line in lines if line.startswith("data: {")]
    assert "job.failed" in [each.get("type") for each in told]
    assert "event: end" in lines


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return file.getvalue()


def encrypted(content: bytes) -> bytes:
    """With the flag that says so, in both of its heads."""
    start = content.index(b"PK\x01\x02")
    flagged = bytearray(content)
    flagged[6] |= 1
    flagged[start + 8] |= 1
    return bytes(flagged)


def by_method(content: bytes, method: int) -> bytes:
    start = content.index(b"PK\x01\x02")
    return content[:8] + struct.pack("<H", method) + content[10 : start + 10] + struct.pack(
        "<H", method
    ) + content[start + 12 :]  # fmt: skip


OBJECT = npy("'|O'", "(1,)", b"\x80\x04cos\nsystem\n(S'true'\ntR.")
ONE = npy("'<f8'", "(1,)", bytes(8))
PARQUET = b"PAR1" + bytes(2_000) + b"PAR1"
ARRAYS: dict[str, Callable[[], bytes]] = {
    "12 of 2^40 numbers": lambda: archive(("x.npy", npy("'<f8'", f"({2**40},)"))),
    "13 of 10^12 times nothing": lambda: npy("'|S0'", f"({10**12},)"),
    "14 of a head of brackets": lambda: b"\x93NUMPY\x01\x00" + struct.pack("<H", 9_000) + b"(" * 9_000,
    "15 of a pickle": lambda: archive(("x.npy", OBJECT)),
    "16 of zeros": lambda: archive(("x.npy", npy("'<f8'", f"({2**22},)") + bytes(2**25))),
    "17 of Parquet": lambda: PARQUET,
}
MORE_ARRAYS: dict[str, Callable[[], bytes]] = {
    "13 of nothing times 10^15": lambda: npy("'<f8'", f"(0, {10**15})"),
    "15 of very many members": lambda: archive(*((f"{i}.npy", b"") for i in range(65_535))),
    "15 of two of one name": lambda: archive(("x.npy", ONE)) + archive(("x.npy", ONE)),
    "15 of a member that is no array": lambda: archive(("x.txt", b"x")),
    "16 behind a password": lambda: encrypted(archive(("x.npy", ONE))),
    "16 by method 97": lambda: by_method(archive(("x.npy", ONE), method=zipfile.ZIP_STORED), 97),
    "17 of forged Parquet": lambda: b"PAR1\x15\x04\x15\xfe\xff\xff\xff\x0f" + PARQUET[4:],
}


BINARY = {
    *("unsupported_format", "unreadable_file", "decompressed_too_large"),
    *("too_few_rows", "too_many_columns", "duplicate_column"),
}


def refuse_binary(files: httpx.Client, content: bytes) -> None:
    start = time.monotonic()
    response = files.post("/v1/datasets", content=content, headers=CSV)
    code = response.json()["errors"][0]["code"]
    assert code in BINARY
    refused(response, 413 if code == "decompressed_too_large" else 422, code)
    assert time.monotonic() - start < PROMPT


@pytest.mark.parametrize("name", ARRAYS)
def test_12_to_17_binary_files(files: httpx.Client, name: str) -> None:
    refuse_binary(files, ARRAYS[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_ARRAYS)
def test_12_to_17_more_of_them(files: httpx.Client, name: str) -> None:
    refuse_binary(files, MORE_ARRAYS[name]())


@pytest.mark.slow
def test_16_a_gzip_of_zeros(files: httpx.Client) -> None:
    bomb = gzip.compress(bytes(2**28), 9)
    refused(files.post("/v1/datasets", content=bomb, headers=CSV), 413, "decompressed_too_large", "file")


Cells = tuple[str, str, str, str]
CELLS: dict[str, Cells] = {
    "18 a quote that is never closed": ('a,b\n1,"2\n' + "3,4\n" * 9_999, "unreadable_row", "file", "quote"),
    "18 a NUL": ("a,b\n1,\0\n3,4\n", "nul_character", "file", "byte 6"),
    "18 infinity": ("a,b\n1,2\n3,inf\n5,6\n", "infinite_number", "columns.b", "Row 2"),
    "18 1e999": ("a,b\n1,2\n3,1e999\n5,6\n", "infinite_number", "columns.b", "Row 2"),
    "19 only a header": ("a,b\n", "too_few_rows", "file", "two rows"),
}
MORE_CELLS: dict[str, Cells] = {
    "18 a cell of 200 KB": ('a,b\n1,"' + "x" * 200_000 + '"\n2,y\n', "unreadable_row", "file", "131072"),
    "18 10,000,000 commas": ("a,b\n" + "," * 10_000_000 + "\n1,2\n", "ragged_row", "file", "line 2"),
    "18 10,000,000 columns": ("," * 10_000_000 + "\n1,2\n", "too_many_columns", "file", "5000"),
    "19 one row": ("a,b\n1,2\n", "too_few_rows", "file", "two rows"),
    "19 a ragged row": ("a,b\n" + "1,2\n" * 999_998 + "1,2,3\n", "ragged_row", "file", "line 1000000"),
}


def refuse_table(files: httpx.Client, cells: Cells) -> None:
    content, code, param, told = cells
    response = files.post("/v1/datasets", content=content.encode(), headers=CSV)
    assert refused(response, 422, code, param, told)["errors"][0]["hint"]


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS.keys())
def test_18_and_19_tables_that_are_none(files: httpx.Client, cells: Cells) -> None:
    refuse_table(files, cells)


@pytest.mark.slow
@pytest.mark.parametrize("cells", MORE_CELLS.values(), ids=MORE_CELLS.keys())
def test_18_and_19_more_of_them(files: httpx.Client, cells: Cells) -> None:
    refuse_table(files, cells)


def test_18_cells_that_python_would_take_for_numbers(files: httpx.Client) -> None:
    """Arabic digits and underscores are text; "nan" is missing."""
    rows = ["١,1_0,nan,x", "٢,2_0,1.5,y", "٣,3_0,2.5,x"]
    found = upload(files, "\n".join(["a,b,c,d", *rows * 5]) + "\n")
    kinds = {column["name"]: column["type"] for column in found["columns"]}
    assert kinds["c"] == "number"
    assert {kinds["a"], kinds["b"]} <= {"category", "text"}


def test_19_tables_that_are_odd_and_work(files: httpx.Client) -> None:
    mixed = upload(files, b"a,b\r\n1,2\n3,4\r\n5,6\n")
    assert (mixed["row_count"], [each["type"] for each in mixed["columns"]]) == (3, ["number", "number"])
    marked = upload(files, "\ufeffa,b\n1,2\n3,4\n".encode())
    assert [each["name"] for each in marked["columns"]] == ["a", "b"]
    wide = upload(files, "a,b\n1,2\n3,4\n".encode("utf-16"))
    assert [each["name"] for each in wide["columns"]] == ["a", "b"]
    same = upload(files, "x,y\n1,a\n2,a\n3,a\n")["id"]
    response = files.post("/v1/jobs", json={"dataset_id": same, "target": "y"})
    refused(response, 422, "constant_target", "target")


def form(name: str, content: bytes, end: bytes = b"\r\n--x--\r\n") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + end


FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FILE_NAMES = ("../../x\0.csv", "../../../../etc/passwd", "a" * 10_000, "\\\\host\\share", "x.csv\r\nA: b")


def test_20_forms(shared_servers: Callable[[str], Server], files: httpx.Client) -> None:
    for name in FILE_NAMES:
        response = files.post("/v1/datasets", content=form(name, XOR.encode()), headers=FORM)
        if response.status_code != 201:
            assert_problem(response, 400)
    data = shared_servers("sqlite").data_dir
    assert not [each for each in data.parent.rglob("*") if each.name in ("x", "passwd", "share")]
    unended = files.post("/v1/datasets", content=form("a", XOR.encode(), b""), headers=FORM)
    refused(unended, 422, "missing_field", "file", "last boundary")
    many = [("file", (f"{i}.csv", b"x")) for i in range(1_000)]
    assert_problem(files.post("/v1/datasets", files=many), 400)


@pytest.mark.slow
def test_20_a_body_in_chunks_of_six_bytes(files: httpx.Client) -> None:
    content = b"a,b\n" + b"1,2\n3,4\n" * (CHUNKS * 6 // 8)
    pieces = [content[i : i + 6] for i in range(0, len(content), 6)]
    found = made(files.post("/v1/datasets", content=iter(pieces), headers=CSV), 201)
    assert found["row_count"] == CHUNKS * 6 // 8 * 2


@pytest.mark.slow
def test_21_an_upload_that_never_ends_does_not_keep_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", workers=0)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            head = "POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Authorization: Bearer {server.admin_key}\r\n"
            slow.sendall(head.encode() + b"Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                slow.sendall(b"1\r\na\r\n")
                time.sleep(0.1)
            start = time.monotonic()
            assert server.stop(15.0) == 0
            assert time.monotonic() - start < 10.0
    finally:
        server.close()


def test_22_a_header_of_four_megabytes(server: Server, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        head = (
            f"GET /v1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: {client.headers['authorization']}\r\nX: "
        )
        try:
            connection.sendall(head.encode() + b"x" * 4_000_000 + b"\r\n\r\n")
            answer = connection.recv(65_536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert client.get("/livez").status_code == 200


def test_23_streams_that_never_read(server: Server, dataset: str, client: httpx.Client) -> None:
    """As many of one key as it may have; another key's requests are answered all the same."""
    admin = server.client()
    restored = partial(admin.patch, "/v1/projects/nasty", json={"max_running": None})
    made(admin.patch("/v1/projects/nasty", json={"max_running": 0}), 200)
    waiting = submit(client, dataset_id=dataset, target="y", training=WHOLE)["id"]
    secret = made(admin.post("/v1/keys", json={"name": "deaf", "role": "read", "project": "nasty"}), 201)[
        "secret"
    ]
    asked = f"GET /v1/jobs/{waiting}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    with ExitStack() as stack:
        stack.callback(restored)
        deaf = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(260)
        ]
        for each in deaf:
            each.sendall(f"{asked}Authorization: Bearer {secret}\r\n\r\n".encode())
        begun = [each.recv(12) for each in deaf]
        assert begun.count(b"HTTP/1.1 200") == 250
        assert begun.count(b"HTTP/1.1 429") == 10
        start = time.monotonic()
        assert client.get(f"/v1/jobs/{waiting}", params={"wait": 0.1}).status_code == 200
        with client.stream(
            "GET", f"/v1/jobs/{waiting}/events", headers={"Accept": "text/event-stream"}
        ) as stream:
            assert stream.status_code == 200
        assert time.monotonic() - start < PROMPT
        made(client.post(f"/v1/jobs/{waiting}/cancel"), 202)


def test_24_one_idempotency_key(client: httpx.Client, stranger: httpx.Client, dataset: str) -> None:
    key = {"Idempotency-Key": f"nasty-{time.time_ns()}"}
    body = {"dataset_id": dataset, "target": "y", "training": WHOLE}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/jobs", json=body, headers=key), range(4)))
    assert len({each.json()["id"] for each in answers if each.status_code == 202}) == 1
    for each in answers:
        if each.status_code != 202:
            assert_problem(each, 409, "request_in_flight")
    other = client.post("/v1/jobs", json={**body, "name": "other"}, headers=key)
    refused(other, 422, "idempotency_key_reused", "Idempotency-Key", "key")
    own = upload(stranger, XOR)["id"]
    theirs = made(stranger.post("/v1/jobs", json={**body, "dataset_id": own}, headers=key), 202)
    assert theirs["id"] not in {each.json().get("id") for each in answers}


def test_25_what_is_anothers(client: httpx.Client, stranger: httpx.Client, dataset: str, job: Json) -> None:
    answers = []
    for unknown in (dataset, "ds_" + "0" * 24):
        response = stranger.post("/v1/jobs", json={"dataset_id": unknown, "target": "y"})
        refused(response, 404, "not_found", "dataset_id", "project")
        answers.append(without_chance(response))
    assert answers[0] == answers[1]
    last = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
    assert_problem(stranger.get(f"/v1/jobs/{job['id']}/events", headers=last), 404, "not_found")


def test_25_a_job_that_is_cancelled_in_its_last_epoch(client: httpx.Client, dataset: str) -> None:
    for _ in range(5):
        found = submit(client, dataset_id=dataset, target="y", training={**WHOLE, "epochs": 20})["id"]
        response = client.post(f"/v1/jobs/{found}/cancel")
        ended = finished(client, found)
        if response.status_code == 409:
            assert assert_problem(response, 409, "wrong_state")["allowed"] == ["delete"]
            assert ended["status"] == "succeeded"
        assert [row["epoch"] for row in history(client, found)] == [
            *range(1, (ended["result"] or {"epochs": 0})["epochs"] + 1)
        ]


def test_25_what_is_deleted_while_it_is_used(client: httpx.Client) -> None:
    data = upload(client, XOR)["id"]
    running = submit(client, dataset_id=data, target="y", training=ENDLESS)["id"]
    until(lambda: history(client, running))
    problem = assert_problem(client.delete(f"/v1/datasets/{data}"), 409, "wrong_state")
    assert "in use by 1 unfinished job." in problem["detail"]
    assert "cancelled" in problem["detail"]
    client.post(f"/v1/jobs/{running}/cancel")
    model = finished(client, running)["model_id"]
    body = {"rows": [{"x1": 0, "x2": 1}]}
    with ThreadPoolExecutor(2) as pool:
        asked: list[Any] = [
            pool.submit(client.post, f"/v1/models/{model}/predict", json=body) for _ in range(20)
        ]
        assert client.delete(f"/v1/models/{model}").status_code == 204
        for each in asked:
            assert each.result().status_code in (200, 404)
    until(lambda: client.post(f"/v1/models/{model}/predict", json=body).status_code == 404, 5)
    assert client.delete(f"/v1/datasets/{data}").status_code == 204


def test_nothing_of_this_was_unexpected(server: Server) -> None:
    assert "unexpected error" not in server.log.read_text()
