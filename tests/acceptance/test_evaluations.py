"""Evaluations that are kept: points to draw, the worst rows, what columns are worth; and their lives."""

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from sklearn import metrics

from app.evaluations.service import MOST_KEPT
from app.storage.tables import Evaluation
from tests.support.portable import model_file
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import LINE, PENGUINS, Json, made, train, upload


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "evaluations")


@pytest.fixture(scope="module")
def dataset(client: httpx.Client) -> str:
    return str(upload(client, PENGUINS.read_bytes())["id"])


@pytest.fixture(scope="module")
def model(client: httpx.Client, dataset: str) -> str:
    job = train(client, dataset_id=dataset, target="species", training={"epochs": 15})
    return str(job["model_id"])


@pytest.fixture(scope="module")
def kept(client: httpx.Client, model: str) -> Json:
    body = {"split": "train", "importance": {"repeats": 3, "seed": 4}, "worst_rows": 5, "name": "first"}
    response = client.post(f"/v1/models/{model}/evaluations", json=body)
    found = made(response, 201)
    assert response.headers["location"] == f"/v1/models/{model}/evaluations/{found['id']}"
    return found


def test_it_has_what_an_evaluation_has(client: httpx.Client, model: str, kept: Json) -> None:
    plain = made(client.post(f"/v1/models/{model}/evaluate", json={"split": "train"}), 200)
    assert {name: kept[name] for name in plain} == plain
    assert (kept["name"], kept["metadata"]) == ("first", {})
    assert made(client.get(f"/v1/models/{model}/evaluations/{kept['id']}"), 200) == kept


def test_curves_are_those_of_the_predictions(
    client: httpx.Client, model: str, dataset: str, kept: Json
) -> None:
    split = made(client.get(f"/v1/jobs/{_job(client, model)}/split"), 200)["train"]
    rows = _rows(client, dataset)
    told = made(client.post(f"/v1/models/{model}/predict", json={"rows": [rows[i] for i in split]}), 200)
    truth = np.array([rows[i]["species"] for i in split])
    names = [curve["class"] for curve in kept["roc"]]
    assert names == ["Adelie", "Chinstrap", "Gentoo"]
    for curve in kept["roc"]:
        shares = [each[curve["class"]] for each in told["probabilities"]]
        x, y, _ = metrics.roc_curve(truth == curve["class"], shares)
        for point in curve["points"]:
            at = np.interp(point["false_positive_rate"], x, y)
            low = y[np.searchsorted(x, point["false_positive_rate"], "left")]
            assert low - 1e-12 <= point["true_positive_rate"] or point["true_positive_rate"] == pytest.approx(
                at
            )
    points = kept["calibration"]["points"]
    assert sum(point["row_count"] for point in points) == kept["row_count"]
    right = sum(point["row_count"] * point["accuracy"] for point in points)
    assert right / kept["row_count"] == pytest.approx(kept["metrics"]["accuracy"])
    worst = kept["worst_rows"]
    costs = [-np.log(each[label]) for each, label in zip(told["probabilities"], truth, strict=True)]
    wanted = sorted(zip(costs, split, strict=True), reverse=True)[:5]
    assert [each["row"] for each in worst] == [row for _, row in wanted]
    assert [each["cost"] for each in worst] == pytest.approx([cost for cost, _ in wanted], rel=1e-5)
    for each in worst:
        assert each["target"] == rows[each["row"]]["species"]
        assert each["probability"] == pytest.approx(np.exp(-each["cost"]), rel=1e-4)


def _job(client: httpx.Client, model: str) -> str:
    return str(made(client.get(f"/v1/models/{model}"), 200)["job_id"])


def _rows(client: httpx.Client, dataset: str) -> list[Json]:
    rows: list[Json] = []
    while len(rows) < 344:
        query = {"limit": 200, **({"after": len(rows) - 1} if rows else {})}
        rows += made(client.get(f"/v1/datasets/{dataset}/rows", params=query), 200)["data"]
    return rows


def test_columns_are_worth_what_is_lost_without_them(
    client: httpx.Client, model: str, dataset: str, kept: Json
) -> None:
    found = kept["importance"]
    assert (found["repeats"], found["seed"], found["row_count"]) == (3, 4, kept["row_count"])
    inputs = made(client.get(f"/v1/models/{model}"), 200)["inputs"]
    assert [each["feature"] for each in found["columns"]] == [each["name"] for each in inputs]
    by = {each["feature"]: each["accuracy_decrease"]["mean"] for each in found["columns"]}
    assert by["bill_length_mm"] > 0.05
    assert by["year"] < by["bill_length_mm"]
    body = {"split": "train", "importance": {"repeats": 3, "seed": 4}}
    again = made(client.post(f"/v1/models/{model}/evaluations", json=body), 201)
    assert again["importance"] == found
    body["importance"] = {"repeats": 3, "seed": 5}
    other = made(client.post(f"/v1/models/{model}/evaluations", json=body), 201)
    assert other["importance"] != found


def test_regression_has_worst_rows_and_no_curves(client: httpx.Client) -> None:
    line = upload(client, LINE)["id"]
    model = train(client, dataset_id=line, target="y", features=["x"], training={"epochs": 200})["model_id"]
    body = {"dataset_id": line, "importance": {"repeats": 2}}
    found = made(client.post(f"/v1/models/{model}/evaluations", json=body), 201)
    assert (found["roc"], found["calibration"], found["split"]) == (None, None, "test")
    assert len(found["worst_rows"]) == found["row_count"]
    rows = made(client.get(f"/v1/datasets/{line}/rows", params={"limit": 60}), 200)["data"]
    for each in found["worst_rows"]:
        assert each["target"] == pytest.approx(rows[each["row"]]["y"])
        assert each["probability"] is None
    (column,) = found["importance"]["columns"]
    assert column["feature"] == "x"
    assert column["r2_decrease"]["mean"] > 0


def test_they_are_listed_sent_again_and_deleted(client: httpx.Client, model: str) -> None:
    path = f"/v1/models/{model}/evaluations"
    body = {"split": "validation", "metadata": {"of": "sending again"}}
    again = {"Idempotency-Key": "evaluation"}
    first, second = (client.post(path, json=body, headers=again) for _ in range(2))
    assert made(first, 201) == made(second, 201)
    assert second.headers["idempotency-replayed"] == "true"
    listed = made(client.get(path, params={"metadata[of]": "sending again"}), 200)["data"]
    assert listed == [first.json()]
    place = first.headers["location"]
    assert client.delete(place).status_code == 204
    assert_problem(client.get(place), 404, "not_found", "evaluation_id")
    assert_problem(client.delete(place), 404, "not_found", "evaluation_id")


def test_another_models_evaluation_is_none_of_this(client: httpx.Client, model: str, kept: Json) -> None:
    other = made(client.post("/v1/models", json=model_file()), 201)["id"]
    assert_problem(client.get(f"/v1/models/{other}/evaluations/{kept['id']}"), 404, "not_found")
    assert made(client.get(f"/v1/models/{other}/evaluations"), 200)["data"] == []
    assert_problem(client.post(f"/v1/models/{other}/evaluations", json={}), 409, "wrong_state")


def test_there_are_only_so_many_and_they_go_with_their_model(
    server: Server, client: httpx.Client, dataset: str
) -> None:
    job = train(client, dataset_id=dataset, target="species", training={"epochs": 1})
    path = f"/v1/models/{job['model_id']}/evaluations"
    one = made(client.post(path, json={}), 201)
    with server.database() as database, database.writing() as session:
        row = session.get_one(Evaluation, one["id"])
        columns = {each.key: getattr(row, each.key) for each in sa.inspect(Evaluation).column_attrs}
        copies = [Evaluation(**{**columns, "id": f"{one['id'][:-3]}{n:03}"}) for n in range(MOST_KEPT - 1)]
        session.add_all(copies)
    problem = assert_problem(client.post(path, json={}), 409, "wrong_state")
    assert problem["allowed"] == ["delete"]
    assert client.delete(f"/v1/models/{job['model_id']}").status_code == 204
    with server.database() as database, database.reading() as session:
        left = sa.select(sa.func.count()).where(Evaluation.model_id == job["model_id"])
        assert session.scalar(left) == 0
