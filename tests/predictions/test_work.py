"""How much one prediction may be, and where it is worked out."""

import dataclasses
import json
import threading
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest
from fastapi import Request

from app.datasets.encoding import Encoding, Target
from app.datasets.features import NumberFeature
from app.engine import Architecture, Parameters
from app.engine.network import Layer
from app.errors import TooLarge
from app.keys.service import Principal
from app.models.warm import Loaded
from app.predictions import router, service
from app.predictions.schemas import PredictRequest
from app.settings import Settings


def model(outputs: int, hidden: int = 4) -> Loaded:
    """Two numbers to as many targets."""
    architecture = Architecture(2, (Layer(hidden, "tanh"), Layer(outputs, "identity")))
    parameters = Parameters(architecture, "float64")
    parameters.flat[:] = np.random.default_rng(0).normal(size=len(parameters.flat))
    features = tuple(NumberFeature(name, 0.0, 0.0, 1.0) for name in ("x1", "x2"))
    targets = tuple(Target(f"y{i}", 0.0, 1.0) for i in range(outputs))
    encoding = Encoding("regression", features, targets, None, ())
    return Loaded("mdl_a", "ds_a", "", "regression", {}, architecture, parameters, encoding)


def test_an_answer_has_an_end() -> None:
    asked = PredictRequest(inputs=[[0.0, 1.0]] * 1001)
    with pytest.raises(TooLarge, match=r"1001 rows with 5000 outputs .* 5005000 .* at most 1000 rows"):
        service.predict(model(5000), asked, 100_000)


def test_whoever_sends_too_many_rows_is_told_what_has_no_limit() -> None:
    with pytest.raises(TooLarge, match=r"At most 10 rows at once\. A file of rows"):
        service.predict(model(1), PredictRequest(inputs=[[0.0, 1.0]] * 11), 10)


def test_many_rows_are_answered_as_a_few_are() -> None:
    inputs = np.random.default_rng(1).normal(size=(10_000, 2)).tolist()
    small = model(1)
    whole = json.loads(service.predict(small, PredictRequest(inputs=inputs), 100_000))
    tail = json.loads(service.predict(small, PredictRequest(inputs=inputs[8190:8200]), 100_000))
    assert len(whole["predictions"]) == 10_000
    np.testing.assert_allclose(whole["predictions"][8190:8200], tail["predictions"], rtol=1e-12)


@pytest.mark.parametrize("classes", [None, ("a", "b")])
def test_an_output_that_is_not_finite_is_null_and_said(classes: tuple[str, ...] | None) -> None:
    architecture = Architecture(2, (Layer(2, "softmax" if classes else "identity"),))
    parameters = Parameters(architecture, "float32")
    parameters.flat.fill(1.0)
    encoding = (
        model(2).encoding if classes is None else dataclasses.replace(model(1).encoding, classes=classes)
    )
    wide = dataclasses.replace(model(2), architecture=architecture, parameters=parameters, encoding=encoding)
    answer = json.loads(service.predict(wide, PredictRequest(inputs=[[0.0, 1.0], [1e300, 0.0]]), 10))
    assert answer["outputs"][1] == [None, None]
    assert all(answer["outputs"][0])
    assert [(each["row"], each["param"], each["code"]) for each in answer["warnings"]] == [
        (1, "inputs[1]", "not_finite")
    ]
    if classes is not None:
        assert answer["predictions"] == ["a", None]
        assert answer["probabilities"][1] == {"a": None, "b": None}


def test_outputs_are_work_too() -> None:
    asked = PredictRequest(inputs=[[0.0, 1.0]] * 100)
    assert service.work(model(1, 1), asked) < router.SMALL_WORK < service.work(model(1000, 1), asked)


@pytest.mark.parametrize(
    ("hidden", "rows", "content_type", "on_the_loop"),
    [
        (4, 1, "application/json", True),
        (4, 1, "Application/JSON", True),
        (4, 1, "application/json ; charset=utf-8", True),
        (1_000_000, 1, "application/json", False),  # few bytes, much work
        (10_000, 100, "application/json", False),
        (4, 10_000, "application/json", False),  # many bytes
    ],
)
def test_much_work_leaves_the_loop(
    monkeypatch: pytest.MonkeyPatch, hidden: int, rows: int, content_type: str, on_the_loop: bool
) -> None:
    worked_in: list[threading.Thread] = []

    def predict(*_: object) -> bytes:
        worked_in.append(threading.current_thread())
        return b"{}"

    async def get(*_: object) -> Loaded:
        return model(1, hidden)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps({"inputs": [[0.0, 1.0]] * rows}).encode()}

    monkeypatch.setattr(service, "predict", predict)
    state = SimpleNamespace(settings=Settings(), warm=SimpleNamespace(get=get))
    scope = {
        "type": "http",
        "query_string": b"",
        "headers": [(b"content-type", content_type.encode())],
        "state": {"principal": Principal("key_a", "proj_a", "predict")},
        "path_params": {"model_id": "mdl_a"},
        "app": SimpleNamespace(state=SimpleNamespace(chainrule=state)),
    }
    anyio.run(router.predict, Request(scope, receive))
    assert [each is threading.current_thread() for each in worked_in] == [on_the_loop]
