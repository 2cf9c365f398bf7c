"""Aliases: names that stand for models, wherever a model's id may stand."""

import threading
from typing import Any

import httpx
import pytest

from tests.support.problems import assert_problem, without_chance
from tests.support.server import Server, until
from tests.support.training import XOR, Json, finished, made, submit, train, upload

PAPER = {"preset": "paper", "epochs": 1}
SIGMOID = {"layers": [{"units": 3}], "output": {"activation": "sigmoid"}}
X: Json = {"inputs": [[0.0, 1.0]]}


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "aliases")


@pytest.fixture(scope="module")
def data(client: httpx.Client) -> str:
    return str(upload(client, XOR)["id"])


@pytest.fixture(scope="module")
def job(data: str) -> Json:
    return {"dataset_id": data, "target": "y", "architecture": SIGMOID, "training": PAPER}


@pytest.fixture(scope="module")
def models(client: httpx.Client, job: Json) -> list[str]:
    """Two of them, with other parameters."""
    bodies = ({**job, "training": {**PAPER, "seed": seed}} for seed in (1, 2))
    return [str(train(client, **body)["model_id"]) for body in bodies]


def put(client: httpx.Client, alias: str, model: str, status: int = 200) -> Json:
    return made(client.put(f"/v1/aliases/{alias}", json={"model_id": model}), status)


def answers(client: httpx.Client, reference: str) -> str:
    """The id of the model that answers."""
    answer = made(client.post(f"/v1/models/{reference}/predict", json=X), 200)
    return str(answer["model_id"])


def test_it_is_set_moved_read_listed_and_deleted(client: httpx.Client, models: list[str]) -> None:
    response = client.put("/v1/aliases/champion", json={"model_id": models[0]})
    first = made(response, 201)
    assert response.headers["location"] == "/v1/aliases/champion"
    assert (first["object"], first["id"], first["model_id"]) == ("alias", "champion", models[0])
    assert first["created_at"] == first["updated_at"]
    assert put(client, "champion", models[0]) == first
    moved = put(client, "champion", models[1])
    assert moved == {**first, "model_id": models[1], "updated_at": moved["updated_at"]}
    assert moved["updated_at"] > first["updated_at"]
    assert made(client.get("/v1/aliases/champion"), 200) == moved
    put(client, "Zeta.v1-2", models[0], 201)
    put(client, "second", "champion", 201)  # an alias of an alias is one of the model
    put(client, "champion", models[0])
    page = made(client.get("/v1/aliases"), 200)
    told = {each["id"]: each["model_id"] for each in page["data"]}
    assert told == {"Zeta.v1-2": models[0], "champion": models[0], "second": models[1]}
    assert list(told) == sorted(told)  # by code points, on every database
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("Zeta.v1-2", "second", False)
    behind = made(client.get("/v1/aliases", params={"after": "Zeta.v1-2", "limit": 1}), 200)
    assert ([each["id"] for each in behind["data"]], behind["has_more"]) == (["champion"], True)
    before = made(client.get("/v1/aliases", params={"after": "champion", "order": "desc"}), 200)
    assert [each["id"] for each in before["data"]] == ["Zeta.v1-2"]
    assert made(client.get(f"/v1/models/{models[0]}"), 200)["aliases"] == ["Zeta.v1-2", "champion"]
    listed = {each["id"]: each["aliases"] for each in made(client.get("/v1/models"), 200)["data"]}
    assert listed[models[1]] == ["second"]
    for name in told:
        assert client.delete(f"/v1/aliases/{name}").status_code == 204
        assert_problem(client.get(f"/v1/aliases/{name}"), 404, "not_found", "alias")
        assert_problem(client.delete(f"/v1/aliases/{name}"), 404, "not_found", "alias")
    assert made(client.get(f"/v1/models/{models[0]}"), 200)["aliases"] == []


NAMES = ["mdl_0n5c1k4v8d2s6m9q3x7z1b5f", "ds_1", "a_b", ".hidden", "-x", "a b", "\u00e9", "a" * 65]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_be_an_id_or_a_path_is_refused(
    client: httpx.Client, models: list[str], name: str
) -> None:
    response = client.put(f"/v1/aliases/{name}", json={"model_id": models[0]})
    assert_problem(response, 422, param="alias")


def test_it_stands_wherever_a_models_id_may(client: httpx.Client, models: list[str], job: Json) -> None:
    put(client, "stands", models[0], 201)
    named, plain = "/v1/models/stands", f"/v1/models/{models[0]}"
    trace = {"inputs": [[0, 1]], "targets": [[1]]}
    pairs: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {"name": "by alias"}),
        ("GET", "/parameters", None),
        ("POST", "/predict", X),
        ("POST", "/trace", trace),
        ("POST", "/evaluate", {"dataset_id": job["dataset_id"], "split": "train"}),
    ]
    for method, end, body in pairs:
        found = [made(client.request(method, f"{each}{end}", json=body), 200) for each in (named, plain)]
        assert found[0] == found[1]
        assert found[0].get("model_id", models[0]) == models[0]
    body = {**job, "initial_model_id": "stands"}
    assert made(client.post("/v1/jobs/plan", json=body), 200)["initial_model_id"] == models[0]
    done = train(client, **body)
    assert done["initial_model_id"] == models[0]
    assert done["requested"]["initial_model_id"] == "stands"
    assert made(client.get(f"/v1/jobs/{done['id']}/manifest"), 200)["initial_model_id"] == models[0]
    client.delete("/v1/aliases/stands")


def test_a_name_that_stands_for_nothing_is_an_unknown_model(client: httpx.Client, job: Json) -> None:
    for method, end, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/predict", X)):
        found = [
            client.request(method, f"/v1/models/{each}{end}", json=body)
            for each in ("nothing", "mdl_nothing")
        ]
        for each in found:
            assert_problem(each, 404, "not_found", "model_id")
        assert without_chance(found[0]) == without_chance(found[1])
    response = client.post("/v1/jobs", json={**job, "initial_model_id": "nothing"})
    assert_problem(response, 404, "not_found", "initial_model_id")
    assert_problem(client.put("/v1/aliases/x", json={"model_id": "nothing"}), 404, param="model_id")


def test_a_model_with_an_alias_is_not_deleted(client: httpx.Client, job: Json) -> None:
    model = train(client, **job)["model_id"]
    names = [f"name{number:02}" for number in range(12)]
    for name in names:
        put(client, name, model, 201)
    for reference in (model, "name03"):
        problem = assert_problem(client.delete(f"/v1/models/{reference}"), 409, "wrong_state")
        assert "'name00'" in problem["detail"]
        assert "and 2 more" in problem["detail"]
        assert problem["allowed"] == ["read"]
    for name in names:
        assert client.delete(f"/v1/aliases/{name}").status_code == 204
    assert client.delete(f"/v1/models/{model}").status_code == 204


def test_who_predicts_follows_a_move_within_a_second(client: httpx.Client, models: list[str]) -> None:
    put(client, "moving", models[0], 201)
    assert answers(client, "moving") == models[0]
    put(client, "moving", models[1])
    until(lambda: answers(client, "moving") == models[1], 1.5)
    assert client.delete("/v1/aliases/moving").status_code == 204
    until(lambda: client.post("/v1/models/moving/predict", json=X).status_code == 404, 1.5)


def test_no_request_fails_while_models_come_and_go(client: httpx.Client, job: Json, server: Server) -> None:
    """Each model is deleted as soon as the alias stands for the next one."""
    old = train(client, **job)["model_id"]
    put(client, "always", old, 201)
    news = [submit(client, **job)["id"] for _ in range(4)]
    over, failed, count = threading.Event(), [], 0

    def read() -> None:
        nonlocal count
        with server.client_with(dict(client.headers)) as reader:
            while not over.is_set():
                for response in (reader.get("/v1/models/always"), reader.get("/v1/models/always/parameters")):
                    count += 1
                    if response.status_code != 200:
                        failed.append(response.text)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for each in news:
            model = finished(client, each)["model_id"]
            put(client, "always", model)
            assert client.delete(f"/v1/models/{old}").status_code == 204
            old = model
    finally:
        over.set()
        for thread in threads:
            thread.join()
    client.delete("/v1/aliases/always")
    assert count > 8
    assert [each for each in failed if "not_found" in each] == []


def test_writers_set_it_and_whoever_predicts_may_use_it(
    server: Server, client: httpx.Client, models: list[str]
) -> None:
    put(client, "public", models[0], 201)
    body = {"model_id": models[0]}
    for role in ("predict", "read"):
        other = server.client(role, "aliases")
        assert answers(other, "public") == models[0]
        assert made(other.get("/v1/models/public"), 200)["id"] == models[0]
        assert_problem(other.put("/v1/aliases/public", json=body), 403, "role_too_low")
        assert_problem(other.delete("/v1/aliases/public"), 403, "role_too_low")
        assert other.get("/v1/aliases").status_code == (403 if role == "predict" else 200)
    client.delete("/v1/aliases/public")


def test_another_projects_alias_and_model_are_as_if_they_were_not(
    server: Server, client: httpx.Client, models: list[str], job: Json
) -> None:
    put(client, "ours", models[0], 201)
    answers(client, "ours")  # warm, and still for us alone
    stranger = server.client("write", "strangers to aliases")
    for method, path, body in (
        ("GET", "/v1/aliases/{}", None),
        ("DELETE", "/v1/aliases/{}", None),
        ("GET", "/v1/models/{}", None),
        ("POST", "/v1/models/{}/predict", X),
    ):
        found = [stranger.request(method, path.format(each), json=body) for each in ("ours", "none")]
        for each in found:
            assert_problem(each, 404, "not_found")
        assert without_chance(found[0]) == without_chance(found[1])
    own = {**job, "dataset_id": upload(stranger, XOR)["id"]}
    theirs = train(stranger, **own)["model_id"]
    put(stranger, "ours", theirs, 201)  # each project has names of its own
    assert (answers(stranger, "ours"), answers(client, "ours")) == (theirs, models[0])
    assert stranger.delete("/v1/aliases/ours").status_code == 204
    for model in (models[0], "mdl_none", "ours"):
        refused = stranger.put("/v1/aliases/theirs", json={"model_id": model})
        assert_problem(refused, 404, "not_found", "model_id")
    assert made(stranger.get("/v1/aliases"), 200)["data"] == []
    client.delete("/v1/aliases/ours")
