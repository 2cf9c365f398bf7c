"""Datasets that every project may read and train on, and what that does not mean."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.problems import assert_problem, without_chance
from tests.support.server import Server
from tests.support.training import XOR, Json, finished, made, submit, train, upload

WHOLE = {"epochs": 2, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
ENDLESS = {**WHOLE, "epochs": 10_000_000}
OURS, THEIRS = "sharing", "others"


@pytest.fixture(scope="module")
def admin(server: Server) -> httpx.Client:
    return server.client("admin", OURS)


@pytest.fixture(scope="module")
def writer(server: Server) -> httpx.Client:
    return server.client("write", OURS)


@pytest.fixture(scope="module")
def other(server: Server) -> httpx.Client:
    return server.client("write", THEIRS)


def share(admin: httpx.Client, dataset: str, shared: bool = True) -> Json:
    return made(admin.patch(f"/v1/datasets/{dataset}", json={"shared": shared}), 200)


@contextmanager
def shared(admin: httpx.Client) -> Iterator[str]:
    """A dataset while it is shared; the server is everybody's, so it must not stay."""
    dataset = upload(admin, XOR, "for all")["id"]
    share(admin, dataset)
    yield dataset
    assert admin.delete(f"/v1/datasets/{dataset}").status_code == 204


def ids(client: httpx.Client, **query: Any) -> list[str]:
    return [
        each["id"] for each in made(client.get("/v1/datasets", params={"limit": 100, **query}), 200)["data"]
    ]


def test_it_is_read_and_trained_on_by_every_project(admin: httpx.Client, other: httpx.Client) -> None:
    with shared(admin) as dataset:
        path = f"/v1/datasets/{dataset}"
        ours, theirs = made(admin.get(path), 200), made(other.get(path), 200)
        assert (ours["shared"], ours["read_only"]) == (True, False)
        assert theirs == {**ours, "read_only": True}
        for end in ("/rows", "/content"):
            found = [each.get(f"{path}{end}") for each in (admin, other)]
            assert found[0].status_code == 200
            assert found[0].content == found[1].content
        job = train(other, dataset_id=dataset, target="y", training=WHOLE)
        assert made(other.post("/v1/jobs/plan", json={"dataset_id": dataset, "target": "y"}), 200)
        model = job["model_id"]
        body = {"dataset_id": dataset, "split": "train"}
        assert made(other.post(f"/v1/models/{model}/evaluate", json=body), 200)["row_count"] == 4
        assert len(made(other.get(f"/v1/jobs/{job['id']}/split"), 200)["train"]) == 4
        for end in (f"jobs/{job['id']}", f"models/{model}"):  # what came of it is theirs alone
            assert_problem(admin.get(f"/v1/{end}"), 404, "not_found")


def test_nobody_else_changes_or_deletes_it(admin: httpx.Client, other: httpx.Client, server: Server) -> None:
    with shared(admin) as dataset:
        path = f"/v1/datasets/{dataset}"
        before = made(admin.get(path), 200)
        for client in (other, server.client("admin", THEIRS)):
            bodies: list[Json] = [{"name": "mine"}, {"shared": False}, {"metadata": {}}, {}]
            for body in bodies:
                assert_problem(client.patch(path, json=body), 403, "read_only")
            assert_problem(client.delete(path), 403, "read_only")
        assert made(admin.get(path), 200) == before


def test_only_administrators_share(admin: httpx.Client, writer: httpx.Client) -> None:
    dataset = upload(writer, XOR)
    assert (dataset["shared"], dataset["read_only"]) == (False, False)
    path = f"/v1/datasets/{dataset['id']}"
    for value in (True, False):
        problem = assert_problem(writer.patch(path, json={"shared": value}), 403, "role_too_low")
        assert "'admin'" in problem["detail"]
    for wrong in ("true", 1):
        assert_problem(admin.patch(path, json={"shared": wrong}), 422, "wrong_type", "shared")
    assert made(admin.patch(path, json={"shared": None}), 200) == dataset
    assert made(writer.patch(path, json={"name": "still ours"}), 200)["shared"] is False
    count = len(ids(writer))
    for response in (
        writer.post("/v1/datasets?shared=true", content=XOR, headers={"Content-Type": "text/csv"}),
        writer.post("/v1/datasets", files={"file": XOR.encode()}, data={"shared": "true"}),
        writer.post("/v1/datasets", json={"shared": True, "rows": [{"x": 1, "y": 2}, {"x": 2, "y": 1}]}),
    ):
        assert_problem(response, 403, "role_too_low")
    assert len(ids(writer)) == count
    writer.delete(path)


def test_it_may_be_made_shared(admin: httpx.Client, other: httpx.Client) -> None:
    rows = [{"x": 1, "y": 2}, {"x": 2, "y": 1}]
    notes = json.dumps({"source": "here"})
    form = {"shared": "true", "metadata": notes, "name": "form"}
    answers = (
        admin.post("/v1/datasets?shared=true", content=XOR, headers={"Content-Type": "text/csv"}),
        admin.post("/v1/datasets", files={"file": io.BytesIO(XOR.encode())}, data=form),
        admin.post("/v1/datasets", json={"shared": True, "rows": rows}),
    )
    found = [made(each, 201) for each in answers]
    assert [each["shared"] for each in found] == [True] * 3
    assert (found[1]["name"], found[1]["metadata"]) == ("form", {"source": "here"})
    assert set(ids(other, shared=True)) >= {each["id"] for each in found}
    for each in found:
        assert admin.delete(f"/v1/datasets/{each['id']}").status_code == 204
    for said, param in (({"shared": "yes"}, "shared"), ({"metadata": "[]"}, "metadata")):
        response = admin.post("/v1/datasets", files={"file": XOR.encode()}, data=said)
        assert_problem(response, 422, param=param)


def test_a_list_is_of_the_projects_own_unless_shared_ones_are_asked_for(
    admin: httpx.Client, other: httpx.Client
) -> None:
    theirs = upload(other, XOR)["id"]
    private = upload(admin, XOR)["id"]
    with shared(admin) as dataset:
        assert dataset not in ids(other)
        assert dataset in ids(other, shared=True)
        assert not {theirs, private} & set(ids(other, shared=True))
        assert {theirs, dataset} & set(ids(other, shared=False)) == {theirs}
        assert {private, dataset} <= set(ids(admin))
        assert {private, dataset} & set(ids(admin, shared=False)) == {private}
        assert ids(other, shared=True, name="for all", status="ready") == [dataset]
        assert ids(other, shared=True, status="failed") == []
    for client, each in ((other, theirs), (admin, private)):
        client.delete(f"/v1/datasets/{each}")


def test_it_stays_while_any_projects_job_uses_it(admin: httpx.Client, other: httpx.Client) -> None:
    dataset = upload(admin, XOR)["id"]
    share(admin, dataset)
    path = f"/v1/datasets/{dataset}"
    job = submit(other, dataset_id=dataset, target="y", training=ENDLESS)["id"]
    for response in (admin.delete(path), admin.patch(path, json={"shared": False})):
        problem = assert_problem(response, 409, "wrong_state")
        assert "1 unfinished job" in problem["detail"]
        assert problem["allowed"] == ["read"]
    assert made(admin.get(path), 200)["shared"] is True
    other.post(f"/v1/jobs/{job}/cancel")
    finished(other, job)
    assert share(admin, dataset, False)["shared"] is False
    assert admin.delete(path).status_code == 204


def test_one_that_is_shared_no_more_is_as_if_it_had_never_been(
    admin: httpx.Client, other: httpx.Client
) -> None:
    dataset = upload(admin, XOR)["id"]
    path = f"/v1/datasets/{dataset}"
    share(admin, dataset)
    diverging = {"optimizer": {"name": "gradient_descent", "learning_rate": 1e300}, "standardize": False}
    failed = submit(other, dataset_id=dataset, target="y", task="regression", training={**WHOLE, **diverging})
    assert finished(other, failed["id"])["status"] == "failed"
    model = train(other, dataset_id=dataset, target="y", training=WHOLE)["model_id"]
    share(admin, dataset, False)
    for method, end, body in (
        ("GET", "", None),
        ("GET", "/rows", None),
        ("GET", "/content", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
    ):
        found = [other.request(method, f"{each}{end}", json=body) for each in (path, "/v1/datasets/ds_none")]
        for each in found:
            assert_problem(each, 404, "not_found", "dataset_id")
        assert without_chance(found[0]) == without_chance(found[1])
    job = {"dataset_id": dataset, "target": "y"}
    assert_problem(other.post("/v1/jobs", json=job), 404, "not_found", "dataset_id")
    assert_problem(other.post("/v1/jobs/plan", json=job), 404, "not_found", "dataset_id")
    retry = other.post(f"/v1/jobs/{failed['id']}/retry")
    assert "no more" in assert_problem(retry, 410, "gone")["detail"]
    measured = other.post(f"/v1/models/{model}/evaluate", json={"split": "train"})
    assert_problem(measured, 410, "gone")
    named = other.post(f"/v1/models/{model}/evaluate", json={"dataset_id": dataset})
    assert named.status_code in (404, 410)
    assert dataset not in ids(other, shared=True)
    admin.delete(path)
