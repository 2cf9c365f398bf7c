"""The contract's general rules, a test for each that no other file is about."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.storage.columns import new_id
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, Json, made, submit, train, upload

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ID = re.compile(r"(ds|arch|job|mdl|evt|key)_[0-9a-z]{24}")
PREFIXES = {"dataset": "ds", "architecture": "arch", "job": "job", "model": "mdl", "key": "key"}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "contract")


@pytest.fixture(scope="module")
def objects(server: Server, client: httpx.Client) -> dict[str, Json]:
    """One of each kind, as its own path answers it."""
    named = {"name": "one", "metadata": {"team": "a"}}
    data = upload(client, LINE)["id"]
    made(client.patch(f"/v1/datasets/{data}", json=named), 200)
    layers = made(client.post("/v1/architectures", json={"layers": [], **named}), 201)["id"]
    job = train(client, dataset_id=data, target="y", training={"epochs": 3}, **named)
    body = {"name": "reader", "project": "contract", "role": "read"}
    key = made(server.client().post("/v1/keys", json=body), 201)["id"]
    paths = {
        "dataset": f"datasets/{data}",
        "architecture": f"architectures/{layers}",
        "job": f"jobs/{job['id']}",
        "model": f"models/{job['model_id']}",
    }
    found = {kind: made(client.get(f"/v1/{path}"), 200) for kind, path in paths.items()}
    return {**found, "key": made(server.client().get(f"/v1/keys/{key}"), 200)}


@pytest.mark.parametrize("kind", PREFIXES)
def test_every_object_says_what_it_is_whose_and_since_when(objects: dict[str, Json], kind: str) -> None:
    found = objects[kind]
    assert found["object"] == kind
    assert ID.fullmatch(found["id"])
    assert found["id"].startswith(f"{PREFIXES[kind]}_")
    assert found["created_by"].startswith("key_")
    assert UTC_TIME.fullmatch(found["created_at"])
    since = datetime.now(UTC) - datetime.fromisoformat(found["created_at"])
    assert timedelta(0) <= since + timedelta(seconds=1) < timedelta(minutes=10)
    if kind != "key":
        assert found["metadata"] == {"team": "a"}
    assert found["name"] == ("reader" if kind == "key" else "one")


def test_ids_sort_by_the_time_at_which_they_were_made() -> None:
    ids = [new_id("job") for _ in range(5)]
    assert len(set(ids)) == 5
    assert all(ID.fullmatch(each) for each in ids)
    assert new_id("job")[4:10] >= ids[0][4:10]


def test_every_time_in_an_answer_is_utc(client: httpx.Client, objects: dict[str, Json]) -> None:
    def times(value: Any) -> Iterator[str]:
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(each, dict | list):
                yield from times(each)
            elif str(name).endswith("_at") and each is not None:
                yield each

    events = made(client.get(f"/v1/jobs/{objects['job']['id']}/events"), 200)
    found = list(times({**objects, "events": events}))
    assert len(found) > 10
    assert [each for each in found if not UTC_TIME.fullmatch(each)] == []


LISTS = (
    *("/v1/datasets", "/v1/uploads", "/v1/architectures", "/v1/jobs", "/v1/models", "/v1/webhooks"),
    *("/v1/splits", "/v1/cross-validations"),
    *("/v1/keys", "/v1/projects", "/v1/workers", "/v1/audit"),
)


@pytest.mark.parametrize("path", LISTS)
def test_lists_have_one_shape_and_are_read_in_pages(
    server: Server, objects: dict[str, Json], path: str
) -> None:
    client, admin = server.client(), {"Chainrule-Project": "contract"}
    whole = made(client.get(path, params={"limit": 100, "order": "asc"}, headers=admin), 200)
    assert whole.keys() == {"object", "data", "first_id", "last_id", "has_more"}
    ids = [each["id"] for each in whole["data"]]
    assert (whole["object"], ids) == ("list", sorted(ids))
    assert (whole["first_id"], whole["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    page = made(client.get(path, params={"limit": 1, "order": "asc"}, headers=admin), 200)
    assert [each["id"] for each in page["data"]] == ids[:1]
    if ids:
        rest = made(
            client.get(path, params={"limit": 1, "order": "asc", "after": ids[0]}, headers=admin), 200
        )
        assert [each["id"] for each in rest["data"]] == ids[1:2]
        newest = made(client.get(path, params={"limit": 2}, headers=admin), 200)
        assert [each["id"] for each in newest["data"]] == sorted(
            (each["id"] for each in newest["data"]), reverse=True
        )


@pytest.mark.parametrize(
    ("part", "first", "after"),
    [("epochs", 1, "after_epoch"), ("events", 1, "after"), ("snapshots", 1, "after")],
)
def test_parts_of_a_job_are_lists_by_number(
    client: httpx.Client, objects: dict[str, Json], part: str, first: int, after: str
) -> None:
    path = f"/v1/jobs/{objects['job']['id']}/{part}"
    page = made(client.get(path, params={"limit": 1}), 200)
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == (
        "list",
        first,
        first,
        True,
    )
    assert made(client.get(path, params={"limit": 1, after: first}), 200)["first_id"] == first + 1


def test_rows_are_a_list_by_number(client: httpx.Client, objects: dict[str, Json]) -> None:
    path = f"/v1/datasets/{objects['dataset']['id']}/rows"
    page = made(client.get(path, params={"limit": 2}), 200)
    assert (page["first_id"], page["last_id"], page["has_more"]) == (0, 1, True)
    assert made(client.get(path, params={"after": 1, "limit": 2}), 200)["first_id"] == 2


def test_filters_mean_all_of_them(client: httpx.Client, objects: dict[str, Json]) -> None:
    job = objects["job"]["id"]
    found: list[tuple[str, Json, int]] = [
        ("jobs", {"status": "succeeded", "name": "one", "metadata[team]": "a"}, 1),
        ("jobs", {"status": "failed"}, 0),
        ("jobs", {"status": "succeeded", "name": "two"}, 0),
        ("datasets", {"status": "ready", "name": "one"}, 1),
        ("datasets", {"status": "processing"}, 0),
        ("architectures", {"metadata[team]": "a"}, 1),
        ("architectures", {"metadata[team]": "b"}, 0),
        ("models", {"job_id": job, "name": "one"}, 1),
        ("models", {"job_id": "job_" + "0" * 24}, 0),
    ]
    for kind, filters, count in found:
        assert len(made(client.get(f"/v1/{kind}", params=filters), 200)["data"]) == count, filters


@pytest.mark.parametrize(
    ("path", "query", "code", "param", "hint"),
    [
        ("/v1/jobs", "stauts=failed", "unknown_field", "stauts", "Did you mean status? This path takes"),
        ("/v1/models", "status=ready", "unknown_field", "status", "job_id"),
        ("/v1/architectures", "job_id=x", "unknown_field", "job_id", "metadata[…]"),
        ("/v1/jobs", "metadata=x", "unknown_field", "metadata", "metadata[…]"),
        ("/v1/aliases", "metadata[a]=x", "unknown_field", "metadata[a]", "limit"),
        ("/v1", "verbose=1", "unknown_field", "verbose", "takes none"),
        ("/v1/jobs", "limit=1&limit=2", "invalid", "limit", "once"),
        ("/v1/jobs", "status=done", "not_allowed", "status", ""),
        ("/v1/jobs", "status=cancelld", "not_allowed", "status", "Did you mean 'cancelled'?"),
        ("/v1/datasets", "status=red", "not_allowed", "status", "Did you mean 'ready'?"),
    ],
)
def test_a_query_that_means_nothing_is_refused(
    client: httpx.Client, path: str, query: str, code: str, param: str, hint: str
) -> None:
    problem = assert_problem(client.get(f"{path}?{query}"), 422, code, param)
    assert hint in (problem["errors"][0]["hint"] or "")


def test_no_other_operation_takes_an_unknown_query(
    client: httpx.Client, objects: dict[str, Json], server: Server
) -> None:
    model = objects["model"]["id"]
    for method, path, body in (
        ("POST", f"/v1/models/{model}/predict", {"inputs": [[0.1]]}),
        ("POST", "/v1/jobs/plan", {}),
        ("PATCH", f"/v1/models/{model}", {}),
        ("GET", f"/v1/jobs/{objects['job']['id']}", None),
        ("DELETE", f"/v1/models/{model}", None),
    ):
        response = client.request(method, f"{path}?dry_run=true", json=body)
        assert_problem(response, 422, "unknown_field", "dry_run")
    assert client.get("/livez?probe=1").status_code == 200


def test_what_is_created_is_at_its_location(client: httpx.Client, objects: dict[str, Json]) -> None:
    response = client.post("/v1/architectures", json={"layers": []})
    path = response.headers["location"]
    assert path == f"/v1/architectures/{made(response, 201)['id']}"
    assert client.get(path).status_code == 200
    gone = client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert "content-type" not in gone.headers
    assert_problem(client.delete(path), 404, "not_found", "architecture_id")
    body = {"dataset_id": objects["dataset"]["id"], "target": "y", "training": {"epochs": 1}}
    queued = client.post("/v1/jobs", json=body)
    assert queued.headers["location"] == f"/v1/jobs/{made(queued, 202)['id']}"


def test_an_action_takes_effect_once(server: Server, client: httpx.Client, objects: dict[str, Json]) -> None:
    stopped = {"max_running": 0}
    made(server.client().patch("/v1/projects/contract", json=stopped), 200)
    try:
        job = submit(client, dataset_id=objects["dataset"]["id"], target="y")["id"]
        for action, first, then in (
            ("pause", ("paused", "pausing"), 200),
            ("resume", ("queued",), 200),
            ("cancel", ("cancelled", "cancelling"), 200),
        ):
            response = client.post(f"/v1/jobs/{job}/{action}")
            assert made(response, 202)["status"] in first
            if action != "resume":
                assert client.post(f"/v1/jobs/{job}/{action}").status_code == then
        problem = assert_problem(client.post(f"/v1/jobs/{job}/resume"), 409, "wrong_state")
        assert "cancelled" in problem["detail"]
        assert problem["allowed"] == ["delete"]
    finally:
        made(server.client().patch("/v1/projects/contract", json={"max_running": None}), 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/v1/jobs", 200),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/jobs", 405),
        ("POST", "/v1/jobs", 415),
        ("GET", "/v1/jobs/job_0", 404),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_answer_has_a_request_id(client: httpx.Client, method: str, path: str, status: int) -> None:
    first = client.request(method, path)
    assert first.status_code == status
    assert re.fullmatch("[0-9a-f]{24}", first.headers["x-request-id"])
    own = client.request(method, path, headers={"X-Request-Id": "my-own.id_1"})
    assert own.headers["x-request-id"] == "my-own.id_1"
    forged = client.request(method, path, headers={"X-Request-Id": "a b" * 40})
    assert re.fullmatch("[0-9a-f]{24}", forged.headers["x-request-id"])


def test_the_methods_of_a_path_are_those_of_its_operations(client: httpx.Client) -> None:
    for path, allowed in (
        ("/v1/jobs/plan", ["POST"]),
        ("/v1/jobs/job_0", ["DELETE", "GET", "HEAD", "PATCH"]),
    ):
        response = client.put(path)
        assert assert_problem(response, 405)["allowed"] == allowed
        assert response.headers["allow"] == ", ".join(allowed)


def test_the_limits_are_told(client: httpx.Client) -> None:
    told = made(client.get("/v1"), 200)
    assert told["version"]
    assert told["fingerprint"]["engine"]
    expected = {
        "max_hidden_layers": 64,
        "max_units": 65_536,
        "max_columns": 5_000,
        "max_upload_bytes": 4 * 2**30,
        "max_json_bytes": 64 * 2**20,
        "max_wait_seconds": 60,
    }
    assert expected.items() <= told["limits"].items()


def test_an_administrator_acts_in_the_project_that_is_named(
    server: Server, client: httpx.Client, objects: dict[str, Json]
) -> None:
    path = f"/v1/jobs/{objects['job']['id']}"
    assert_problem(server.client().get(path), 404)
    named = {"Chainrule-Project": "contract"}
    assert made(server.client().get(path, headers=named), 200)["id"] == objects["job"]["id"]
    assert client.get(path, headers={"Chainrule-Project": "default"}).status_code == 200  # has no say
    nobody = {"Chainrule-Project": "no such project"}
    assert_problem(server.client().get(path, headers=nobody), 404, param="Chainrule-Project")
