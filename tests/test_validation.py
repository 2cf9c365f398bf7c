"""From pydantic's errors to paths that a client recognises."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.architectures.schemas import ArchitectureCreate
from app.jobs.schemas import JobCreate
from app.models.tracing import TraceRequest
from app.predictions.schemas import PredictRequest
from app.validation import About, invalid
from app.vocabulary.fields import FIELDS, PREDICTION, TRACE
from app.vocabulary.places import ABSENT, PLACES
from app.vocabulary.values import NEAREST, SAME

GOOD = {"dataset_id": "ds_a", "target": "y"}
KINDS: dict[About, Any] = {
    "job": JobCreate,
    "architecture": ArchitectureCreate,
    "prediction": PredictRequest,
    "trace": TraceRequest,
}


def faults(sent: Any, about: About = "job") -> list[tuple[str, str, str | None]]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(KINDS[about]).validate_python(sent)
    error = invalid(caught.value.errors(include_url=False), sent, ("body",), about)
    return [(fault.param, fault.code, fault.hint) for fault in error.faults]


def params(sent: Any) -> list[str]:
    return [param for param, _, _ in faults(sent)]


@pytest.mark.parametrize(
    ("more", "param", "hint"),
    [
        ({"training": {"optimizer": "adam"}}, "training.optimizer", '{"name": "adam"'),
        ({"training": {"learning_rate_schedule": "step"}}, "training.learning_rate_schedule", '{"name"'),
        ({"training": {"early_stopping": True}}, "training.early_stopping", '{"patience": 20}'),
        ({"architecture": [16, 8]}, "architecture", '{"layers"'),
        ({"architecture": "mlp"}, "architecture", '{"layers"'),
        ({"architecture": {"layers": [16]}}, "architecture.layers[0]", '{"units": 16'),
        ({"features": "x"}, "features", "["),
    ],
)
def test_what_is_of_another_kind_is_told_by_an_example(more: Any, param: str, hint: str) -> None:
    (found,) = faults({**GOOD, **more})
    assert found[0] == param
    assert found[2] is not None
    assert found[2].startswith(f"For example {hint}")


def test_pydantics_own_words_stay_inside() -> None:
    many = {str(each): "" for each in range(17)}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(JobCreate).validate_python({**GOOD, "metadata": many, "training": 1, "target": []})
    told = invalid(caught.value.errors(include_url=False), {}, ("body",), "job").faults
    assert [each.message for each in told] == [
        *("List should have at least 1 item, not 0.", "Input should be an object, as {…}."),
        "Dictionary should have at most 16 items.",
    ]


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
    ("more", "hint"),
    [
        ({"training": {"lr": 0.1}}, "Here this is called training.optimizer.learning_rate."),
        ({"training": {"LOSS": "mse"}}, "Here this is called training.cost."),
        ({"training": {"max_iter": 3}}, "Here this is called training.epochs."),
        ({"random_state": 3}, "Here this is called training.seed."),
        ({"y": "target"}, "Here this is called target, in the outermost object."),
        ({"alpha": 0.1}, "weight_decay for the penalty, training.optimizer.learning_rate for the step."),
        ({"hidden_layer_sizes": [3]}, "Here this is called architecture.layers, e.g."),
        ({"training": {"keep_prob": 0.9}}, "architecture.layers[].dropout, which is 1 - keep_prob."),
        ({"epochs": 5}, "Its place is training.epochs."),
        ({"training": {"dataset_id": "ds_a"}}, "Its place is dataset_id, in the outermost object."),
        ({"training": {"beta1": 0.9}}, "Its place is training.optimizer.beta1."),
        ({"training": {"activation": "relu"}}, "layers[].activation, or architecture.output.activation."),
        ({"training": {"epoch_s": 5}}, "Did you mean training.epochs?"),
        ({"training": {"validaton_split": 0.1}}, "Did you mean training.validation_fraction?"),
        ({"training": {"clipvalue": 1}}, "Gradients are clipped by their norm: training.gradient_clip_norm."),
        ({"verbose": 1}, "Nothing is printed: "),
        ({"training": {"optimizer": {"name": "lbfgs", "learning_rate": 1}}}, "has none"),
        ({"training": {"cost": "MSE"}}, "Did you mean 'squared_error'?"),
        ({"training": {"cost": "log_loss"}}, "Did you mean 'cross_entropy'?"),
        ({"training": {"batch_size": "all"}}, "Did you mean 'full'?"),
        ({"training": {"optimizer": {"name": "SGD"}}}, "Did you mean 'gradient_descent'?"),
        ({"training": {"optimizer": {"name": "adagrad"}}}, "That is not here; 'adam' comes near it."),
        ({"training": {"early_stopping": {"monitor": "val_loss"}}}, "Did you mean 'validation_cost'?"),
        ({"training": {"learning_rate_schedule": {"name": "none"}}}, "Did you mean 'constant'?"),
        ({"architecture": {"layers": [{"units": 1, "activation": "linear"}]}}, "Did you mean 'identity'?"),
        ({"architecture": {"layers": [{"units": 1, "activation": "selu"}]}}, "not here; 'elu' comes near"),
        ({"architecture": {"layers": [{"units": 1, "activation": "softmax"}]}}, "output layer"),
        ({"architecture": {"layers": [{"units": 1, "activation": "sigmoud"}]}}, "Did you mean 'sigmoid'?"),
    ],
)
def test_hints(more: dict[str, Any], hint: str) -> None:
    assert hint in str(faults({**GOOD, **more})[0][2])


@pytest.mark.parametrize(
    ("about", "sent", "hint"),
    [
        (
            "architecture",
            {"layers": [{"units": 1, "act": "relu"}]},
            "Here this is called layers[].activation.",
        ),
        ("architecture", {"layers": [], "lr": 1}, "called training.optimizer.learning_rate, in a job."),
        ("architecture", {"layers": [], "target": "y"}, "Its place is target, in a job."),
        (
            "architecture",
            {"layers": [{"units": 1, "name": "a"}]},
            "Its place is name, in the outermost object.",
        ),
        ("prediction", {"rows": [], "instances": []}, "Here this is called rows."),
        ("prediction", {"rows": [], "lr": 0.1}, "None"),
        ("trace", {"inputs": [[0]], "y": [[0]]}, "Here this is called targets."),
        ("trace", {"inputs": [[0]], "lr": 1}, "Here this is called learning_rate."),
    ],
)
def test_hints_are_of_what_was_sent(about: About, sent: dict[str, Any], hint: str) -> None:
    assert hint in str(faults(sent, about)[0][2])


def test_no_hint_is_better_than_a_wrong_one() -> None:
    assert faults({**GOOD, "training": {"cost": "zzz"}})[0][2] is None
    assert faults({**GOOD, "zzz": 1})[0][2] is None
    assert faults({**GOOD, "lrs": 1})[0][2] is None


def fields(schema: Any, node: Any, place: str = "") -> Iterator[str]:
    """The path of every field, and of what is inside of it."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    for each in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from fields(schema, each, place)
    if "items" in node:
        yield from fields(schema, node["items"], f"{place}[]")
    for name, each in node.get("properties", {}).items():
        path = f"{place}.{name}" if place else name
        yield path
        yield from fields(schema, each, path)


def values(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("enum", ())
        yield from (node["const"],) if "const" in node else ()
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from values(each)


JOB = TypeAdapter(JobCreate).json_schema()


def test_every_hint_names_a_field_that_there_is() -> None:
    known = set(fields(JOB, JOB))
    assert len(known) > 60
    named = {*PLACES.values(), *(each for called in FIELDS.values() for each in called)}
    first = {re.match(r"[\w.\[\]]+", each) for each in named}
    assert {each and each[0] for each in first} - known == set()


def test_every_field_has_its_place() -> None:
    known = {path.rpartition(".")[2].lower() for path in fields(JOB, JOB)}
    assert known - PLACES.keys() - FIELDS.keys() == set()


def test_every_hint_names_a_value_that_there_is() -> None:
    assert {each for known in (SAME, NEAREST) for called in known.values() for each in called} <= {
        *values(JOB)
    }


def test_a_word_means_one_thing() -> None:
    words = [*PLACES, *FIELDS, *ABSENT]
    assert sorted(words) == sorted(set(words))
    for known in (FIELDS, ABSENT, PREDICTION, TRACE):
        assert {word: called for word, called in known.items() if len(called) > 1} == {}
    assert all(word == word.lower() for word in (*words, *PREDICTION, *TRACE, *SAME, *NEAREST))
    assert SAME.keys() & NEAREST.keys() == set()
