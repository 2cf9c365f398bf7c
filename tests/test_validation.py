"""From pydantic's errors to paths that a client recognises."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.jobs.schemas import JobCreate
from app.validation import invalid

GOOD = {"dataset_id": "ds_a", "target": "y"}


def faults(sent: Any) -> list[tuple[str, str, str | None]]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(JobCreate).validate_python(sent)
    found = caught.value.errors(include_url=False)
    error = invalid([{**each, "loc": ("body", *each["loc"])} for each in found], sent)
    return [(fault.param, fault.code, fault.hint) for fault in error.faults]


def params(sent: Any) -> list[str]:
    return [param for param, _, _ in faults(sent)]


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"training": {"epochs": "5"}}, "training.epochs", "wrong_type"),
        ({"training": {"epochs": 0}}, "training.epochs", "out_of_range"),
        ({"training": {"epoch": 1}}, "training.epoch", "unknown_field"),
        ({"training": {"cost": "hinge"}}, "training.cost", "not_allowed"),
        ({"training": {"batch_size": "some"}}, "training.batch_size", "not_allowed"),
        ({"training": {"batch_size": 0}}, "training.batch_size", "out_of_range"),
        ({"training": {"optimizer": {"name": "x"}}}, "training.optimizer.name", "not_allowed"),
        ({"training": {"optimizer": {"beta1": 2.0}}}, "training.optimizer.beta1", "out_of_range"),
        ({"architecture": {"layers": [{"units": "x"}]}}, "architecture.layers[0].units", "wrong_type"),
        ({"architecture": {"layers": [{}]}}, "architecture.layers[0].units", "missing_field"),
        ({"architecture": {}}, "architecture.layers", "missing_field"),
        ({"target": [1]}, "target[0]", "wrong_type"),
        ({"target": []}, "target", "out_of_range"),
        ({"features": [5]}, "features[0]", "wrong_type"),
        ({"initial_parameters": [{"W": [[0, "x"]], "b": []}]}, "initial_parameters[0].W[0][1]", "wrong_type"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "out_of_range"),
        ({"metadata": {"a.b[0]": 1}}, "metadata.a.b[0]", "wrong_type"),
    ],
)  # fmt: skip
def test_the_path_is_what_the_client_wrote(more: dict[str, Any], param: str, code: str) -> None:
    assert [(each[0], each[1]) for each in faults({**GOOD, **more})] == [(param, code)]


def test_a_missing_field_is_named() -> None:
    assert params({}) == ["dataset_id", "target"]
    assert params([]) == [""]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"training": {"lr": 0.1}}, "learning_rate"),
        ({"training": {"LOSS": "mse"}}, "training.cost"),
        ({"training": {"max_iter": 3}}, "training.epochs"),
        ({"training": {"cost": "MSE"}}, "squared_error"),
        ({"training": {"optimizer": {"name": "SGD"}}}, "gradient_descent"),
        ({"training": {"optimizer": {"name": "lbfgs", "learning_rate": 1}}}, "has none"),
        ({"architecture": {"layers": [{"units": 1, "activation": "softmax"}]}}, "output layer"),
        ({"architecture": {"layers": [{"units": 1, "activation": "sigmoud"}]}}, "'sigmoid'"),
    ],
)
def test_hints(more: dict[str, Any], word: str) -> None:
    assert word in str(faults({**GOOD, **more})[0][2])


def test_no_hint_is_better_than_a_wrong_one() -> None:
    assert faults({**GOOD, "training": {"cost": "zzz"}})[0][2] is None
    assert faults({**GOOD, "zzz": 1})[0][2] is None
