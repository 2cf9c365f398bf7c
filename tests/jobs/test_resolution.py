"""Every "auto" and the preset, resolved; and every misfit told at once."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from app.architectures.network import to_engine
from app.architectures.schemas import ArchitectureSpec
from app.engine import leaves_for
from app.errors import Fault, Invalid
from app.jobs.options import with_preset
from app.jobs.resolution import Resolved, automatic, resolve
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


LIMITS = Settings(workers=2, max_hidden_layers=3, max_units=100, max_parameters=5000, max_threads=4)


def resolved(rows: int = 100, settings: Settings = LIMITS, **asked: Any) -> Resolved:
    job = TypeAdapter(JobCreate).validate_python({"dataset_id": "ds_a", "target": "a", **asked})
    spec = job.architecture if isinstance(job.architecture, ArchitectureSpec) else None
    return resolve(job, COLUMNS, rows, spec, settings)


def faults(**asked: Any) -> list[Fault]:
    with pytest.raises(Invalid) as caught:
        resolved(**asked)
    return list(caught.value.faults)


def refused(**asked: Any) -> set[str]:
    return {fault.param for fault in faults(**asked)}


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
    assert found.architecture["inputs"] == 3 + 1 + 1 + 2  # of which one says whether the value is missing
    assert resolved(features=["set_aside"]).architecture["inputs"] == 1


@pytest.mark.parametrize(
    ("rows", "size"), [(572, 16), (573, 32), (2858, 32), (2859, 64), (20_000, 128), (200_000, 256)]
)
def test_the_batch_grows_with_the_training_rows(rows: int, size: int) -> None:
    assert resolved(rows=rows).training["batch_size"] == size
    layers = {"layers": [{"units": 3}]}
    assert resolved(rows=rows, architecture=layers).training["batch_size"] == max(32, size)


def test_weights_decay_only_with_the_automatic_network() -> None:
    assert resolved().training["weight_decay"] == 0.001
    assert resolved(training={"weight_decay": 0.0}).training["weight_decay"] == 0.0
    assert resolved(architecture={"layers": [{"units": 3}]}).training["weight_decay"] == 0.0


def test_nothing_is_left_to_choose() -> None:
    found = resolved()
    assert "auto" not in [*found.training.values(), found.architecture["output"]["activation"]]
    assert found.training["optimizer"]["name"] == "adam"
    assert (found.training["threads"], found.training["leaves"]) == (1, 1)
    (layer,) = found.architecture["layers"]
    assert (layer["activation"], layer["initialization"]) == ("relu", "he_uniform")
    assert found.architecture["output"]["initialization"] == "glorot_uniform"


ROOMY = LIMITS.model_copy(update={"max_units": 300, "max_parameters": 100_000})


@pytest.mark.parametrize(
    ("inputs", "more", "units", "dropout"),
    [
        (3, {}, 100, 0.0),
        (4, {}, 100, 0.2),
        (99, {}, 100, 0.2),
        (100, {}, 256, 0.2),
        (99, {"optimizer": {"name": "lbfgs"}}, 100, 0.0),
        (99, {"preset": "paper"}, 100, 0.0),
    ],
)
def test_the_automatic_network_goes_by_its_inputs(
    inputs: int, more: dict[str, Any], units: int, dropout: float
) -> None:
    names = [f"x{i}" for i in range(inputs)]
    columns = [column(name, "number", distinct=50) for name in [*names, "y"]]
    asked = {"dataset_id": "ds_a", "target": "y", "training": more}
    job = TypeAdapter(JobCreate).validate_python(asked)
    training = with_preset(job.training)
    (layer,) = automatic(inputs, training).layers
    assert (layer.units, layer.dropout) == (units, dropout)
    if "preset" not in more:  # which wants its output's activation said
        found = resolve(job, columns, 100, None, ROOMY)
        assert [each["units"] for each in found.architecture["layers"]] == [units]


def test_missing_values_and_rare_categories_have_inputs_of_their_own() -> None:
    counts = {"p": 40, "q": 30, "r": 4, "s": 3}
    columns = [
        column("y", "number", distinct=50),
        column("gaps", "number", distinct=50, missing=40),
        column("k", "category", categories=list(counts), counts=counts),
    ]

    def inputs(**training: Any) -> int:
        asked = {"dataset_id": "ds_a", "target": "y", "training": training}
        job = TypeAdapter(JobCreate).validate_python(asked)
        return int(resolve(job, columns, 1000, None, LIMITS).architecture["inputs"])

    assert inputs() == 2 + 3
    assert inputs(missing_indicators=False) == 1 + 3
    assert inputs(min_frequency=1) == 2 + 4
    assert inputs(min_frequency=50) == 2 + 3  # one row in fifty is enough


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
    ("asked", "expected"),
    [
        ({"name": "nesterov"}, {"name": "nesterov", "learning_rate": 0.01, "momentum": 0.9}),
        ({"name": "rmsprop"}, {"name": "rmsprop", "learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7}),
        (
            {"name": "adamw"},
            {
                "name": "adamw",
                "learning_rate": 0.001,
                "beta1": 0.9,
                "beta2": 0.999,
                "epsilon": 1e-8,
                "decoupled_weight_decay": 0.01,
            },
        ),
        ({"name": "lbfgs"}, {"name": "lbfgs", "memory": 10, "tolerance": 1e-7}),
    ],
)
@pytest.mark.parametrize("preset", [None, "paper"])
def test_an_optimizer_brings_its_own_defaults(asked: Any, expected: Any, preset: str | None) -> None:
    training = {"preset": preset, "optimizer": asked}
    assert resolved(architecture=SIGMOID, training=training).training["optimizer"] == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"name": "constant", "warmup_epochs": 0}),
        ({"warmup_epochs": 5}, {"name": "constant", "warmup_epochs": 5}),
        ({"name": "step", "every": 30}, {"name": "step", "every": 30, "factor": 0.1, "warmup_epochs": 0}),
        (
            {"name": "exponential", "factor": 0.9, "warmup_epochs": 200},
            {"name": "exponential", "factor": 0.9, "warmup_epochs": 200},
        ),
        (
            {"name": "cosine", "final_learning_rate": 0.001},
            {"name": "cosine", "final_learning_rate": 0.001, "warmup_epochs": 0},
        ),
        (
            {"name": "plateau"},
            {"name": "plateau", "factor": 0.1, "patience": 10, "warmup_epochs": 0},
        ),
    ],
)
def test_a_schedule_brings_its_own_defaults(asked: Any, expected: Any) -> None:
    assert resolved(training={"learning_rate_schedule": asked}).training["learning_rate_schedule"] == expected


def test_a_schedule_must_fit_the_epochs_and_the_learning_rate() -> None:
    long = {"epochs": 5, "learning_rate_schedule": {"warmup_epochs": 6}}
    assert refused(training=long) == {"training.learning_rate_schedule.warmup_epochs"}
    rising = {"learning_rate_schedule": {"name": "cosine", "final_learning_rate": 0.0011}}
    assert refused(training=rising) == {"training.learning_rate_schedule.final_learning_rate"}


def lbfgs(**options: Any) -> dict[str, Any]:
    return {"optimizer": {"name": "lbfgs"}, **options}


@pytest.mark.parametrize("size", ["auto", "full"])
def test_lbfgs_takes_all_rows_at_once(size: str) -> None:
    assert resolved(training=lbfgs(batch_size=size)).training["batch_size"] == "full"


def test_what_does_not_go_with_lbfgs_is_told_with_a_way_out() -> None:
    layers = [{"units": 3}, {"units": 3, "dropout": 0.5}]
    options = {"batch_size": 32, "gradient_clip_norm": 1.0, "learning_rate_schedule": {"warmup_epochs": 1}}
    found = faults(architecture={"layers": layers}, training=lbfgs(**options))
    assert {fault.param for fault in found} == {
        *(f"training.{name}" for name in options),
        "architecture.layers[1].dropout",
    }
    assert {fault.code for fault in found} == {"not_allowed"}
    assert all(fault.hint for fault in found)
    resolved(architecture={"layers": layers}, training=options)  # all of it goes with adam


@pytest.mark.parametrize("cost", ["absolute_error", "huber"])
def test_costs_that_bear_outliers(cost: str) -> None:
    for target, activation in (("a", "identity"), ("c", "sigmoid")):
        found = resolved(target=target, training={"cost": cost})
        assert (found.training["cost"], found.architecture["output"]["activation"]) == (cost, activation)
    softmax = {"layers": [], "output": {"activation": "softmax"}}
    (fault,) = faults(target="c", architecture=softmax, training={"cost": cost})
    assert fault.param == "architecture.output.activation"
    assert cost in str(fault.hint)


def test_class_weights_are_for_classes() -> None:
    (fault,) = faults(training={"class_weight": "balanced"})
    assert (fault.param, fault.code) == ("training.class_weight", "not_allowed")
    assert "sample_weight_column" in str(fault.hint)


def test_a_column_of_weights_is_no_feature() -> None:
    found = resolved(training={"sample_weight_column": "digit"})
    assert found.features == ["c", "flag", "gaps"]
    assert refused(features=["digit"], training={"sample_weight_column": "digit"}) == {"features[0]"}


@pytest.mark.parametrize(
    ("column", "code"), [("a", "not_allowed"), ("c", "wrong_type"), ("gabs", "unknown_column")]
)
def test_weights_are_a_number_column_beside_the_target(column: str, code: str) -> None:
    (fault,) = faults(training={"sample_weight_column": column})
    assert (fault.param, fault.code) == ("training.sample_weight_column", code)
    assert fault.hint


WIDE = {"layers": [{"units": 60}, {"units": 60}]}


def test_threads_are_a_slots_share_of_the_cores_where_a_step_has_parts() -> None:
    found = resolved(rows=10**6, architecture=WIDE, training={"batch_size": "full"})
    size = 10**6 - 2 * 150_000
    assert found.training["leaves"] == leaves_for(to_engine(found.architecture), size) > 1
    assert found.training["threads"] == max(1, min(LIMITS.cores // 2, 4))
    alone = LIMITS.model_copy(update={"workers": 0, "max_threads": 1})
    found = resolved(rows=10**6, settings=alone, architecture=WIDE, training={"batch_size": "full"})
    assert found.training["threads"] == 1


def test_snapshots_are_kept_as_there_is_room_for_them() -> None:
    assert resolved().training["keep_epochs"] == "powers_of_two"
    assert resolved(training={"keep_epochs": [7, 3]}).training["keep_epochs"] == [3, 7]
    tight = LIMITS.model_copy(update={"max_kept_bytes": 20_000})
    found = resolved(settings=tight)
    assert found.training["keep_epochs"] == "last"
    assert [each["code"] for each in found.warnings] == ["only_last_kept"]
    assert refused(training={"keep_epochs": "powers_of_two"}, settings=tight) == {"training.keep_epochs"}
    assert refused(training={"keep_epochs": [201]}) == {"training.keep_epochs"}


def test_threads_that_are_asked_for_are_taken_up_to_a_limit() -> None:
    assert resolved(training={"threads": 4}).training["threads"] == 4
    assert refused(training={"threads": 5}) == {"training.threads"}


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
