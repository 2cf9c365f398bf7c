"""Every "auto" and the preset, resolved; and every misfit told at once."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from app.architectures.schemas import ArchitectureSpec
from app.errors import Invalid
from app.jobs.resolution import Resolved, resolve
from app.jobs.schemas import JobCreate
from app.settings import Settings


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    facts = {"missing": 0, "used_by_default": True, "distinct": 3, "integer": False, "categories": None}
    return {"name": name, "type": kind, **facts, **more}


COLUMNS = [
    column("a", "number", distinct=50),
    column("c", "category", categories=["x", "y", "z"]),
    column("digit", "number", integer=True, distinct=4),
    column("flag", "boolean", distinct=2),
    column("set_aside", "number", used_by_default=False, distinct=90),
    column("gaps", "number", distinct=50, missing=40),
]


def resolved(rows: int = 100, **asked: Any) -> Resolved:
    job = TypeAdapter(JobCreate).validate_python({"dataset_id": "ds_a", "target": "a", **asked})
    spec = job.architecture if isinstance(job.architecture, ArchitectureSpec) else None
    return resolve(
        job, COLUMNS, rows, spec, Settings(max_hidden_layers=3, max_units=100, max_parameters=5000)
    )


def refused(**asked: Any) -> set[str]:
    with pytest.raises(Invalid) as caught:
        resolved(**asked)
    return {fault.param for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("target", "task", "cost", "activation", "outputs"),
    [
        ("a", "regression", "squared_error", "identity", 1),
        ("c", "classification", "cross_entropy", "softmax", 3),
        ("digit", "classification", "cross_entropy", "softmax", 4),
        ("flag", "classification", "cross_entropy", "softmax", 2),
        (["a", "digit"], "regression", "squared_error", "identity", 2),
    ],
)
def test_the_target_decides(target: Any, task: str, cost: str, activation: str, outputs: int) -> None:
    found = resolved(target=target)
    output = found.architecture["output"]
    assert (found.task, found.training["cost"]) == (task, cost)
    assert (output["activation"], output["units"]) == (activation, outputs)
    assert found.training["stratify"] is (task == "classification")
    assert bool(found.warnings) is (target == "digit")  # a guess


def test_the_features_are_all_that_are_used_by_default() -> None:
    found = resolved()
    assert found.features == ["c", "digit", "flag", "gaps"]
    assert found.architecture["inputs"] == 3 + 1 + 1 + 1
    assert resolved(features=["set_aside"]).architecture["inputs"] == 1


@pytest.mark.parametrize(("rows", "size"), [(100, 32), (2858, 32), (2859, 64), (20_000, 128), (200_000, 256)])
def test_the_batch_grows_with_the_training_rows(rows: int, size: int) -> None:
    assert resolved(rows=rows).training["batch_size"] == size


def test_nothing_is_left_to_choose() -> None:
    found = resolved()
    assert "auto" not in [*found.training.values(), found.architecture["output"]["activation"]]
    assert found.training["optimizer"]["name"] == "adam"
    assert found.training["threads"] == 1
    assert [layer["units"] for layer in found.architecture["layers"]] == [32, 16]


def test_a_squared_error_of_classes_ends_in_sigmoids() -> None:
    found = resolved(target="c", training={"cost": "squared_error"})
    assert found.architecture["output"]["activation"] == "sigmoid"


def test_early_stopping_needs_something_to_look_at() -> None:
    assert resolved().training["early_stopping"]["monitor"] == "validation_cost"
    assert resolved(training={"validation_fraction": 0.0}).training["early_stopping"] is None
    asked = {"validation_fraction": 0.0, "early_stopping": {"monitor": "cost"}}
    assert resolved(training=asked).training["early_stopping"]["monitor"] == "cost"
    wanted = {"validation_fraction": 0.0, "early_stopping": {"patience": 5}}
    assert refused(training=wanted) == {"training.early_stopping"}


PAPER = {
    "cost": "squared_error",
    "optimizer": {"name": "gradient_descent", "learning_rate": 0.1},
    "batch_size": "full",
    "validation_fraction": 0.0,
    "test_fraction": 0.0,
    "early_stopping": None,
    "standardize": False,
    "dtype": "float64",
}
STEEP = {"name": "gradient_descent", "learning_rate": 2.0}
MOMENTUM = {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9}
SIGMOID = {"layers": [], "output": {"activation": "sigmoid"}}


def test_the_paper_preset() -> None:
    found = resolved(target="digit", architecture=SIGMOID, training={"preset": "paper"})
    assert {name: found.training[name] for name in PAPER} == PAPER
    assert found.task == "regression"  # integers, too
    assert refused(training={"preset": "paper"}) == {"architecture.output.activation"}


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"dtype": "float32"}, {**PAPER, "dtype": "float32"}),
        ({"optimizer": {"learning_rate": 2.0}}, {"optimizer": STEEP}),
        ({"optimizer": {"name": "momentum"}}, {"optimizer": MOMENTUM}),
        ({"test_fraction": 0.2}, {"test_fraction": 0.2, "validation_fraction": 0.0}),
        ({"batch_size": 5}, {"batch_size": 5, "standardize": False}),
    ],
)
def test_fields_beside_the_preset_win_one_by_one(beside: dict[str, Any], expected: dict[str, Any]) -> None:
    found = resolved(architecture=SIGMOID, training={"preset": "paper", **beside}).training
    assert {name: found[name] for name in expected} == expected


def test_rows_without_a_target_do_not_count() -> None:
    found = resolved(target="gaps", rows=42, training={"validation_fraction": 0.4, "test_fraction": 0.0})
    assert [each["code"] for each in found.warnings] == ["missing_target"]
    halves = {"validation_fraction": 0.5, "test_fraction": 0.5}
    assert refused(target="gaps", rows=42, training=halves) == {"training.validation_fraction"}


@pytest.mark.parametrize(
    ("layers", "param"),
    [
        ([{"units": 1}] * 4, "architecture.layers"),
        ([{"units": 1}, {"units": 101}], "architecture.layers[1].units"),
        ([{"units": 100}, {"units": 100}], "architecture.layers"),
    ],
)
def test_limits(layers: list[dict[str, int]], param: str) -> None:
    assert refused(architecture={"layers": layers}) == {param}
    within = resolved(architecture={"layers": [{"units": 60}, {"units": 60}]})
    assert len(within.architecture["layers"]) == 2


def test_misfits_are_told_together() -> None:
    assert refused(target="none", features=["nothing"]) == {"target", "features[0]"}
    both = {"cost": "cross_entropy", "validation_fraction": 0.0, "early_stopping": {}}
    assert refused(training=both) >= {"training.cost", "training.early_stopping"}
