"""Large files: in parts, resumed, read while nobody waits; on both databases."""

import gzip
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from app.storage.tables import Dataset
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import made

pytestmark = pytest.mark.heavy

Json = dict[str, Any]

CONTENT = b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i % 7) for i in range(500))


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=0, max_uploads_per_project=4)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client()


@pytest.fixture(autouse=True)
def nothing_left(server: Server, client: httpx.Client) -> Iterator[None]:
    yield
    assert list((server.data_dir / "incoming").iterdir()) == []
    for each in made(client.get("/v1/uploads"), 200)["data"]:
        assert client.delete(f"/v1/uploads/{each['id']}").status_code == 204
    assert list((server.data_dir / "uploads").glob("*.part")) == []


def begin(client: httpx.Client, content: bytes, **more: Any) -> str:
    upload = made(client.post("/v1/uploads", json={"size_bytes": len(content), **more}), 201)
    assert (upload["offset"], upload["size_bytes"]) == (0, len(content))
    return str(upload["id"])


def send(client: httpx.Client, upload_id: str, offset: int, part: Any) -> httpx.Response:
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"}
    return client.patch(f"/v1/uploads/{upload_id}", content=part, headers=headers)


def test_parts_become_the_dataset_that_the_whole_is(client: httpx.Client) -> None:
    content = gzip.compress(CONTENT)
    digest = hashlib.sha256(content).hexdigest()
    said = {
        "name": "in parts",
        "metadata": {"a": "b"},
        "columns": {"y": {"type": "category"}},
        "sha256": digest,
    }
    upload_id = begin(client, content, **said)
    for start in range(0, len(content), 1_000):
        answer = send(client, upload_id, start, content[start : start + 1_000])
        assert made(answer, 200)["offset"] == int(answer.headers["upload-offset"])
    assert client.head(f"/v1/uploads/{upload_id}").headers["upload-offset"] == str(len(content))
    dataset = made(client.post(f"/v1/uploads/{upload_id}/complete"), 201)
    columns = {"columns": json.dumps(said["columns"])}
    whole = made(client.post("/v1/datasets", files={"file": CONTENT}, data=columns), 201)
    assert dataset["sha256"] == whole["sha256"]
    assert (dataset["name"], dataset["metadata"]) == ("in parts", {"a": "b"})
    assert_problem(client.get(f"/v1/uploads/{upload_id}"), 404)


def test_a_part_goes_where_the_last_one_ended_and_nowhere_else(client: httpx.Client) -> None:
    upload_id = begin(client, CONTENT)
    assert send(client, upload_id, 0, CONTENT[:100]).status_code == 200
    for offset in (0, 99, 101, len(CONTENT)):
        assert_problem(send(client, upload_id, offset, CONTENT[100:200]), 409, "wrong_state")
    assert_problem(send(client, upload_id, 100, CONTENT), 413, "too_large")
    assert made(client.get(f"/v1/uploads/{upload_id}"), 200)["offset"] == 100
    assert_problem(client.post(f"/v1/uploads/{upload_id}/complete"), 409, "wrong_state")
    assert send(client, upload_id, 100, CONTENT[100:]).status_code == 200
    assert made(client.post(f"/v1/uploads/{upload_id}/complete"), 201)["row_count"] == 500


def test_what_came_before_a_connection_was_lost_is_kept(client: httpx.Client) -> None:
    upload_id = begin(client, CONTENT)

    def breaks_off() -> Iterator[bytes]:
        yield CONTENT[:1_000]
        time.sleep(0.2)
        raise ConnectionError("the cable")

    with pytest.raises(ConnectionError):
        send(client, upload_id, 0, breaks_off())
    offset = until(lambda: made(client.get(f"/v1/uploads/{upload_id}"), 200)["offset"])
    assert offset == 1_000
    assert until(lambda: send(client, upload_id, offset, CONTENT[offset:]).status_code == 200)
    assert made(client.post(f"/v1/uploads/{upload_id}/complete"), 201)["row_count"] == 500


def test_parts_stay_through_a_crash_of_the_server(server: Server, client: httpx.Client) -> None:
    upload_id = begin(client, CONTENT)
    assert send(client, upload_id, 0, CONTENT[:700]).status_code == 200
    server.kill_everything()
    with (server.data_dir / "uploads" / f"{upload_id}.part").open("ab") as file:
        file.write(b"what was never confirmed")
    server.restart()
    assert made(client.get(f"/v1/uploads/{upload_id}"), 200)["offset"] == 700
    assert send(client, upload_id, 700, CONTENT[700:]).status_code == 200
    assert made(client.post(f"/v1/uploads/{upload_id}/complete"), 201)["row_count"] == 500


def test_a_file_that_is_none_stays_to_be_deleted(client: httpx.Client) -> None:
    content = b"a,b\n1,2\n3\n"
    upload_id = begin(client, content)
    assert send(client, upload_id, 0, content).status_code == 200
    complete = f"/v1/uploads/{upload_id}/complete"
    assert_problem(client.post(complete), 422, "ragged_row")
    assert_problem(client.post(complete), 422, "ragged_row")
    wrong = begin(client, content, sha256="0" * 64)
    assert send(client, wrong, 0, content).status_code == 200
    assert_problem(client.post(f"/v1/uploads/{wrong}/complete"), 422, param="sha256")


def test_completing_again_with_a_key_is_answered_again(client: httpx.Client) -> None:
    upload_id = begin(client, CONTENT)
    assert send(client, upload_id, 0, CONTENT).status_code == 200
    key = {"Idempotency-Key": "complete once"}
    first = client.post(f"/v1/uploads/{upload_id}/complete", headers=key)
    again = client.post(f"/v1/uploads/{upload_id}/complete", headers=key)
    assert made(first, 201) == made(again, 201)
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "size_bytes"),
        ({"size_bytes": 0}, "size_bytes"),
        ({"size_bytes": 2**60}, "size_bytes"),
        ({"size_bytes": 10**13}, "size_bytes"),
        ({"size_bytes": 5, "sha256": "x"}, "sha256"),
        ({"size_bytes": 5, "charset": "ebcdic"}, "charset"),
        ({"size_bytes": 5, "path": "/etc/passwd"}, "path"),
        ({"size_bytes": 5, "columns": 5}, "columns"),
        ({"size_bytes": 5, "columns": {"a": {"type": "int"}}}, "columns.a.type"),
    ],
)
def test_what_no_upload_can_be_is_refused(client: httpx.Client, body: Json, param: str) -> None:
    assert_problem(client.post("/v1/uploads", json=body), 422, param=param)


def test_parts_are_refused_that_say_too_little(client: httpx.Client) -> None:
    upload_id = begin(client, CONTENT)
    path = f"/v1/uploads/{upload_id}"
    assert_problem(client.patch(path, content=b"x", headers={"Upload-Offset": "0"}), 415)
    kind = {"Content-Type": "application/octet-stream"}
    assert_problem(client.patch(path, content=b"x", headers=kind), 422, param="upload-offset")
    for offset in ("-1", "1.0", "x", str(2**70)):
        assert_problem(client.patch(path, content=b"x", headers={**kind, "Upload-Offset": offset}), 422)
    assert_problem(send(client, "upl_" + "0" * 24, 0, b"x"), 404)


def test_a_project_has_only_so_many(client: httpx.Client, server: Server) -> None:
    ids = [begin(client, CONTENT) for _ in range(4)]
    assert_problem(client.post("/v1/uploads", json={"size_bytes": 5}), 429, "too_many_uploads")
    other = server.client("write", "elsewhere")
    begun = begin(other, CONTENT)
    assert_problem(send(other, ids[0], 0, CONTENT), 404)
    assert other.delete(f"/v1/uploads/{begun}").status_code == 204


def slow_file() -> bytes:
    """Takes some seconds to be read: every cell is quoted, and goes through Python."""
    values = np.random.default_rng(0).normal(size=(40_000, 25))
    text = io.StringIO()
    text.write(",".join(f'"c{i}"' for i in range(25)) + "\n")
    for row in values.tolist():
        text.write(",".join(f'"{value}"' for value in row) + "\n")
    return text.getvalue().encode()


@pytest.mark.slow
def test_a_file_that_takes_long_is_read_while_nobody_waits(client: httpx.Client, server: Server) -> None:
    content = slow_file() * 1
    content += content[content.index(b"\n") + 1 :] * 11
    csv = {"Content-Type": "text/csv"}
    start = time.monotonic()
    dataset = made(client.post("/v1/datasets", params={"name": "slow"}, content=content, headers=csv), 201)
    assert 4.0 < time.monotonic() - start < 20.0
    assert (dataset["status"], dataset["sha256"], dataset["columns"]) == ("processing", None, [])
    path = f"/v1/datasets/{dataset['id']}"
    for answer in (
        client.get(f"{path}/rows"),
        client.post("/v1/jobs", json={"dataset_id": dataset["id"], "target": "c0"}),
    ):
        assert_problem(answer, 409, "wrong_state")
    ready = made(client.get(path, params={"wait": 60}), 200)
    assert (ready["status"], ready["row_count"], ready["name"]) == ("ready", 480_000, "slow")
    assert ready["error"] is None
    broken = content + b'"1"\n'
    dataset = made(client.post("/v1/datasets", content=broken, headers=csv), 201)
    failed = made(client.get(f"/v1/datasets/{dataset['id']}", params={"wait": 60}), 200)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "invalid_dataset")
    assert failed["error"]["errors"][0]["code"] == "ragged_row"
    dataset = made(client.post("/v1/datasets", content=content, headers=csv), 201)
    server.kill_everything()
    with server.database() as database, database.writing() as session:
        session.execute(sa.update(Dataset).where(Dataset.status == "processing").values(lease_until=0.0))
    server.restart()
    path = f"/v1/datasets/{dataset['id']}"
    failed = until(lambda: made(client.get(path), 200)["status"] == "failed" and client.get(path).json())
    assert failed["error"]["code"] == "unavailable"
    assert client.delete(path).status_code == 204
    for left in (server.data_dir / "incoming").iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def test_a_column_that_one_cell_spoils_is_mended_afterwards(client: httpx.Client) -> None:
    rows = "".join(f"{i}.5;0{i % 9}1;{i}\n" for i in range(40))
    content = f"price;code;y\n{rows}sold out;011;5\n"
    dataset = made(client.post("/v1/datasets", content=content, headers={"Content-Type": "text/csv"}), 201)
    codes = {(each["param"], each["code"]) for each in dataset["warnings"]}
    assert {("columns.price", "mostly_numbers"), ("columns.code", "leading_zeros")} <= codes
    said = {"price": {"type": "number", "missing": ["Sold out"]}}
    changed = made(client.patch(f"/v1/datasets/{dataset['id']}", json={"columns": said}), 200)
    (price,) = [each for each in changed["columns"] if each["name"] == "price"]
    assert (price["type"], price["missing"], price["max"]) == ("number", 1, 39.5)
    codes = {(each["param"], each["code"]) for each in changed["warnings"]}
    assert ("columns.price", "mostly_numbers") not in codes
    assert ("columns.code", "leading_zeros") in codes  # what is told of other columns stays


def test_types_are_corrected_afterwards(client: httpx.Client) -> None:
    rows = [{"zip": 10115 + i % 2, "when": f"0{i + 1}/02/2024", "y": i} for i in range(8)]
    dataset = made(client.post("/v1/datasets", json={"rows": rows}), 201)
    path = f"/v1/datasets/{dataset['id']}"
    asked = {"zip": {"type": "category"}, "when": {"type": "date", "format": "%d/%m/%Y"}}
    changed = made(client.patch(path, json={"columns": asked, "name": "corrected"}), 200)
    types = {each["name"]: each["type"] for each in changed["columns"]}
    assert types == {"zip": "category", "when": "date", "y": "number"}
    assert changed["name"] == "corrected"
    assert changed["sha256"] != dataset["sha256"]
    first = made(client.get(f"{path}/rows", params={"limit": 1}), 200)["data"][0]
    assert first == {"zip": "10115", "when": "2024-02-01", "y": 0.0}
    assert_problem(client.patch(path, json={"columns": {"zap": {"type": "text"}}}), 422, param="columns.zap")
    assert_problem(client.patch(path, json={"columns": {"y": {"type": "boolean"}}}), 422, "not_a_boolean")
    made(client.post("/v1/jobs", json={"dataset_id": dataset["id"], "target": "y"}), 202)
    assert_problem(client.patch(path, json={"columns": {"zip": {"type": "text"}}}), 409, "wrong_state")
    assert made(client.patch(path, json={"name": "still"}), 200)["name"] == "still"


def test_tables_to_learn_on_are_generated(client: httpx.Client) -> None:
    for kind in ("xor", "circles", "moons", "spiral", "blobs", "linear", "sine"):
        body = {"generate": {"kind": kind}, "name": kind}
        dataset = made(client.post("/v1/datasets", json=body), 201)
        assert (dataset["row_count"], dataset["name"]) == (200, kind)
    names = [each["name"] for each in dataset["columns"]]
    assert names == ["x", "y"]
    one = {"kind": "xor", "rows": 10, "noise": 0, "seed": 3}
    digests = {made(client.post("/v1/datasets", json={"generate": one}), 201)["sha256"] for _ in range(2)}
    assert len(digests) == 1
    for wrong, param in (
        ({"kind": "cube"}, "generate.kind"),
        ({"kind": "xor", "rows": 1}, "generate.rows"),
        ({"kind": "xor", "rows": 2.0}, "generate.rows"),
        ({"kind": "xor", "rows": 10**9}, "generate.rows"),
        ({"kind": "xor", "seed": True}, "generate.seed"),
        ({"kind": "xor", "noise": "much"}, "generate.noise"),
        ({"kind": "xor", "colour": 1}, "generate.colour"),
        (5, "generate"),
    ):
        assert_problem(client.post("/v1/datasets", json={"generate": wrong}), 422, param=param)
