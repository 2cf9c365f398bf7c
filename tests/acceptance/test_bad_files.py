"""Uploads that are no dataset. How they are read has nothing to do with the database: SQLite will do."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import XOR, made

UPLOAD_LIMIT = 400_000
CSV = {"Content-Type": "text/csv"}
DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("files") / "data", workers=0, max_upload_bytes=UPLOAD_LIMIT)
    yield server.start()
    server.close()


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client()


@pytest.fixture(autouse=True)
def nothing_left(server: Server, client: httpx.Client) -> Iterator[None]:
    yield
    assert made(client.get("/v1/datasets"), 200)["data"] == []
    assert list((server.data_dir / "incoming").iterdir()) == []


def table(columns: int, rows: int = 3) -> str:
    header = ",".join(f"c{i}" for i in range(columns))
    return f"{header}\n" + f"{','.join('1' * columns)}\n" * rows


FILES: dict[str, tuple[bytes | str, int, str]] = {
    "empty": ("", 422, "empty_file"),
    "blank": ("\n\n\n", 422, "empty_file"),
    "only a header": ("a,b\n", 422, "too_few_rows"),
    "one row": ("a,b\n1,2\n", 422, "too_few_rows"),
    "ragged": ("a,b\n1,2\n3\n4,5\n", 422, "ragged_row"),
    "ragged and quoted": ('a,b\n1,"2"\n3\n', 422, "ragged_row"),
    "an open quote": ('a,b\n1,"2\n3,4\n', 422, "unreadable_row"),
    "a name twice": ("a,a\n1,2\n3,4\n", 422, "duplicate_column"),
    "an infinite number": ("a,b\n1,inf\n2,3\n", 422, "infinite_number"),
    "a huge number": ("a,b\n1,1e999\n2,3\n", 422, "infinite_number"),
    "10,000 columns": (table(10_000, 2), 422, "too_many_columns"),
    "a NUL": ("a,b\n1,\0\n3,4\n", 422, "nul_character"),
    "no charset": (b"a,b\n1,\x81\n3,4\n", 422, "wrong_charset"),
    "half of UTF-16": ("a,b\n1,2\n3,4\n".encode("utf-16")[:-1], 422, "wrong_charset"),
    "broken gzip": (gzip.compress(b"a,b\n1,2\n3,4\n")[:-9], 422, "unreadable_file"),
    "a gzip bomb": (gzip.compress(b"a,b\n" + b"1,2\n" * 10_000_000, 1)[:], 413, "too_large"),
    "gzip twice": (gzip.compress(gzip.compress(b"a,b\n1,2\n3,4\n")), 422, "unsupported_format"),
    "a broken ZIP": (b"PK\x03\x04" + bytes(100), 422, "unreadable_file"),
    "rows that are numbers": ("[1, 2]", 422, "wrong_type"),
    "an array within": ('[{"a": [1]}, {"a": 2}]', 422, "nested_value"),
    "a member twice": ('[{"a": 1, "a": 2}, {"a": 2}]', 422, "duplicate_key"),
    "NaN": ('[{"a": NaN}, {"a": 2}]', 422, "not_finite"),
    "an infinite note": ('{"metadata": {"a": 1e999}, "rows": [{"a": 1}, {"a": 2}]}', 422, "not_finite"),
    "columns of unequal length": ('{"data": {"a": [1, 2], "b": [1]}}', 422, "ragged_column"),
    "neither rows nor data": ('{"name": "x"}', 422, "missing_field"),
    "an unknown member": ('{"row": [], "rows": []}', 422, "unknown_field"),
    "a NUL in a name": ('{"name": "a\\u0000", "rows": [{"a": 1}, {"a": 2}]}', 422, "nul_character"),
    "a name that is a number": ('{"name": 5, "rows": [{"a": 1}, {"a": 2}]}', 422, "invalid"),
    "a line feed in a name": ('{"name": "a\\nb", "rows": [{"a": 1}, {"a": 2}]}', 422, "invalid"),
    "depth": (DEEP, 422, "invalid_json"),
    "5,000 digits": ('[{"a": ' + "9" * 5000 + '}, {"a": 1}]', 422, "infinite_number"),
    "over the limit": ("a,b\n" + "1,2\n" * 100_001, 413, "too_large"),
}


@pytest.mark.parametrize(("content", "status", "code"), FILES.values(), ids=FILES.keys())
def test_files_that_are_no_dataset(
    client: httpx.Client, content: bytes | str, status: int, code: str
) -> None:
    content = content.encode() if isinstance(content, str) else content
    assert_problem(client.post("/v1/datasets", content=content, headers=CSV), status, code)


@pytest.mark.parametrize("name", ["empty", "ragged", "a gzip bomb", "over the limit"])
def test_the_same_in_a_form(client: httpx.Client, name: str) -> None:
    content, status, code = FILES[name]
    assert_problem(client.post("/v1/datasets", files={"file": content}), status, code)


def test_multipart_that_is_none(client: httpx.Client) -> None:
    path, file = "/v1/datasets", XOR.encode()
    assert_problem(client.post(path, files={"data": file}), 422, param="file")
    assert_problem(client.post(path, data={"file": "a,b"}, files={"other": file}), 422, param="file")
    assert_problem(client.post(path, files={"file": file}, data={"columns": "["}), 422, param="columns")
    assert_problem(client.post(path, files={"file": file}, data={"columns": "[]"}), 422, param="columns")
    zip_ = {"columns": '{"zip": {"type": "category"}}'}
    assert_problem(client.post(path, files={"file": file}, data=zip_), 422)
    fancy = {"columns": '{"x1": {"type": "complex"}}'}
    assert_problem(client.post(path, files={"file": file}, data=fancy), 422)
    assert_problem(client.post(path, files={"file": file}, data={"name": "a\0"}), 422, param="name")
    headers = {"Content-Type": "multipart/form-data"}
    assert_problem(client.post(path, content=b"x", headers=headers), 400)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(client.post(path, content=b"--y\r\n", headers=headers), 400)
    many = [("file", ("a.csv", file)), ("file", ("b.csv", file))]
    assert_problem(client.post(path, files=many), 400)
    two = client.post(path, files={"file": file}, params={"name": "n" * 256})
    assert_problem(two, 422, param="name")
