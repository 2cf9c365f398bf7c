"""Pages, filters, order and renaming, alike for everything that has a list."""

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import XOR, Json, made, started, submit, train, upload

LAYERS = {"layers": [{"units": 3, "activation": "tanh"}]}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "lists")


@pytest.fixture(scope="module")
def stored(client: httpx.Client) -> list[Json]:
    """Five architectures, oldest first."""
    bodies = [{**LAYERS, "name": f"a{i % 2}", "metadata": {"n": str(i)}} for i in range(5)]
    return [made(client.post("/v1/architectures", json=body), 201) for body in bodies]


def ids(page: Json) -> list[str]:
    return [each["id"] for each in page["data"]]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_cover_the_list_once(client: httpx.Client, stored: list[Json], order: str) -> None:
    found: list[str] = []
    query: dict[str, str | int] = {"limit": 2, "order": order}
    while True:
        page = made(client.get("/v1/architectures", params=query), 200)
        assert page["object"] == "list"
        assert (page["first_id"], page["last_id"]) == (ids(page)[0], ids(page)[-1])
        found += ids(page)
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    expected = [each["id"] for each in stored]
    assert found == (expected if order == "asc" else expected[::-1])
    assert len(ids(page)) == 1


def test_filters_by_name_and_metadata(client: httpx.Client, stored: list[Json]) -> None:
    named = made(client.get("/v1/architectures", params={"name": "a1", "order": "asc"}), 200)
    assert ids(named) == [stored[1]["id"], stored[3]["id"]]
    noted = made(client.get("/v1/architectures", params={"metadata[n]": "4"}), 200)
    assert ids(noted) == [stored[4]["id"]]
    odd = "a\"b\\c.d[0]'$"
    kept = made(client.post("/v1/architectures", json={**LAYERS, "metadata": {odd: "%"}}), 201)
    found = made(client.get("/v1/architectures", params={f"metadata[{odd}]": "%"}), 200)
    client.delete(f"/v1/architectures/{kept['id']}")
    assert ids(found) == [kept["id"]]
    none = made(client.get("/v1/architectures", params={"metadata[n]": "9"}), 200)
    assert (none["data"], none["first_id"], none["last_id"], none["has_more"]) == ([], None, None, False)


def test_jobs_are_filtered_by_status(client: httpx.Client) -> None:
    data = upload(client, XOR)
    done = train(client, dataset_id=data["id"], target="y", training=_whole(2))
    page = made(client.get("/v1/jobs", params={"status": "succeeded"}), 200)
    assert ids(page) == [done["id"]]
    assert made(client.get("/v1/jobs", params={"status": "failed"}), 200)["data"] == []


def _whole(epochs: int) -> Json:
    return {"epochs": epochs, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"order": "sideways"}, "order"),
        ({"after": "../x"}, "after"),
        ({"after": "a" * 65}, "after"),
        ({"name": "a" * 256}, "name"),
    ],
)
def test_a_window_that_is_none_is_refused(client: httpx.Client, query: Json, param: str) -> None:
    assert_problem(client.get("/v1/datasets", params=query), 422, param=param)


@pytest.mark.parametrize("kind", ["datasets", "architectures", "jobs", "models"])
def test_patch_changes_only_what_was_sent(client: httpx.Client, kind: str) -> None:
    data = upload(client, XOR, "before")
    found = data
    if kind == "architectures":
        found = made(client.post("/v1/architectures", json={**LAYERS, "name": "before"}), 201)
    elif kind != "datasets":
        found = train(
            client, dataset_id=data["id"], target="y", training=_whole(2), name="before", metadata={"a": "b"}
        )
    path = f"/v1/{kind}/{found['model_id'] if kind == 'models' else found['id']}"
    before = made(client.get(path), 200)
    noted = made(client.patch(path, json={"metadata": {"team": "biology"}}), 200)
    assert noted == {**before, "metadata": {"team": "biology"}}
    renamed = made(client.patch(path, json={"name": "after"}), 200)
    assert renamed == {**noted, "name": "after"}
    unnamed = made(client.patch(path, json={"name": None}), 200)
    assert unnamed == {**renamed, "name": None}
    assert made(client.patch(path, json={}), 200) == unnamed == made(client.get(path), 200)
    assert_problem(client.patch(path, json={"status": "ready"}), 422, "unknown_field", "status")
    assert_problem(client.patch(path, json={"name": "\u0000"}), 422, param="name")
    assert_problem(client.patch(path, json={"metadata": {"k": "v" * 513}}), 422, param="metadata.k")


def test_a_stored_architecture_serves_jobs(client: httpx.Client, stored: list[Json]) -> None:
    data = upload(client, XOR)
    own = made(client.post("/v1/architectures", json=LAYERS), 201)
    job = train(client, dataset_id=data["id"], target="y", training=_whole(2), architecture_id=own["id"])
    assert job["architecture_id"] == own["id"]
    assert [layer["units"] for layer in job["architecture"]["layers"]] == [3]
    assert client.delete(f"/v1/architectures/{own['id']}").status_code == 204
    kept = made(client.get(f"/v1/jobs/{job['id']}"), 200)
    assert kept["architecture"] == job["architecture"]
    both = {"architecture_id": stored[0]["id"], "architecture": LAYERS}
    response = client.post("/v1/jobs", json={"dataset_id": data["id"], "target": "y", **both})
    assert_problem(response, 422, param="architecture_id")


def test_priority_goes_first_and_the_queue_says_so(client: httpx.Client) -> None:
    data = upload(client, XOR)
    forever = {**_whole(10_000_000)}
    busy = [submit(client, dataset_id=data["id"], target="y", training=forever) for _ in range(2)]
    for job in busy:
        started(client, job["id"])
    low = submit(client, dataset_id=data["id"], target="y", training=_whole(1), priority=-1)
    high = submit(client, dataset_id=data["id"], target="y", training=_whole(1), priority=1)
    assert (low["queue_position"], high["queue_position"]) == (1, 1)
    assert made(client.get(f"/v1/jobs/{low['id']}"), 200)["queue_position"] == 2
    client.post(f"/v1/jobs/{busy[0]['id']}/cancel")
    order = {}
    for job in (low, high):
        query: dict[str, int | str] = {"wait": 20, "wait_for": "terminal"}
        order[job["id"]] = made(client.get(f"/v1/jobs/{job['id']}", params=query), 200)["started_at"]
    assert order[high["id"]] < order[low["id"]]
    client.post(f"/v1/jobs/{busy[1]['id']}/cancel")
