"""What comes back is a model that a job could have left, or is refused with its place."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid, MalformedRequest
from app.exports import tensors
from app.exports.reading import Limits, read
from app.exports.schemas import ModelFile
from app.models import parameters as codec
from app.models.evaluation import outputs_of
from tests.support.portable import (
    CLASSES,
    MARKED,
    MARKED_NUMBERS,
    NUMBERS,
    document_of,
    model_file,
    network_of,
)

LIMITS = Limits(max_hidden_layers=64, max_units=65_536, max_parameters=1_000_000)
WHOLE = network_of()
JSON = json.dumps(model_file(WHOLE)).encode()
SAFETENSORS = tensors.safetensors(document_of(WHOLE), WHOLE.parameters)


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize(
    ("encoding", "output", "cost", "dtype"),
    [
        (CLASSES, "softmax", "cross_entropy", "float32"),
        (CLASSES, "sigmoid", "squared_error", "float64"),
        (NUMBERS, "identity", "huber", "float32"),
        (MARKED, "softmax", "cross_entropy", "float32"),
        (MARKED_NUMBERS, "identity", "squared_error", "float64"),
    ],
)
def test_it_comes_back_to_the_bit(kind: str, encoding: Any, output: str, cost: str, dtype: str) -> None:
    network = network_of(encoding, "gelu", output, dtype)
    document = document_of(network, cost)
    write = tensors.text if kind == "json" else tensors.safetensors
    found = read(write(document, network.parameters), kind, LIMITS)
    assert codec.dump(found.parameters) == codec.dump(network.parameters)
    assert found.encoding == encoding
    assert found.described()["architecture"] == document["architecture"]
    assert found.described()["training"] == {"cost": cost, "weight_decay": 0.0, "dtype": dtype}


def replaced(path: str, value: Any) -> bytes:
    """The JSON file with another value at that place."""
    file = json.loads(JSON)
    *steps, last = path.split(".")
    here: Any = file
    for step in steps:
        here = here[int(step) if step.isdigit() else step]
    here[int(last) if last.isdigit() else last] = value
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("path", "value", "param"),
    [
        ("version", 2, "version"),
        ("architecture.inputs", 8, "architecture"),
        ("architecture.output.units", 4, "architecture"),
        ("architecture.output.activation", "relu", "training.cost"),
        ("architecture.layers", [{"units": 7, "activation": "softmax"}], "architecture.layers[0].activation"),
        ("architecture.layers", [{"units": 70_000}], "architecture"),
        ("parameters.0.W", [[1.0]], "parameters[0].W"),
        ("parameters.0.b", None, "parameters[0]"),
        ("parameters.0.b", {"0": 1}, "parameters[0]"),
        ("parameters.0.b.0", True, "parameters[0]"),
        ("parameters.0.b.0", 1e300, "parameters"),
        ("parameters.0.b.0", 0.5, "sha256"),
        ("parameters", {}, "parameters"),
        ("training.cost", "hinge", "training.cost"),
        ("training.cost", ["huber"], "training.cost"),
        ("training.weight_decay", -1.0, "training.weight_decay"),
        ("dtype", "float16", "dtype"),
        ("encoding.features", [], "encoding"),
        ("encoding.features.0.type", "pickle", "encoding"),
        ("encoding.features.0.mean", "1.5", "encoding"),
        ("encoding.features.0.scale", -2.0, "encoding.features"),
        ("encoding.features.0.scale", 5e-324, "encoding.features"),
        ("encoding.features.0.more", 1, "encoding"),
        ("encoding.features.0.name", "", "encoding"),
        ("encoding.features.0.name", "a\0b", "encoding"),
        ("encoding.features.0.name", "species", "encoding"),
        ("encoding.features.1.categories.0", "Dream", "encoding.features"),
        ("encoding.features.1.most_frequent", 3, "encoding.features"),
        ("encoding.features.1.known", [True], "encoding.features"),
        ("encoding.features.2.most_frequent", 2, "encoding.features"),
        ("encoding.targets.0.scale", 0.0, "encoding.targets"),
        ("encoding.classes", ["é", "Adelie", "Gentoo"], "encoding.classes"),
        ("encoding.classes", None, "architecture"),
        ("classes", ["a", "b", "c"], "classes"),
        ("encoding.task", "regression", "task"),
    ],
)
def test_what_no_job_leaves_is_refused_with_its_place(path: str, value: Any, param: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(replaced(path, value), "json", LIMITS)
    assert refused.value.faults[0].param == param, refused.value


def test_tensors_of_another_type_or_name_are_refused() -> None:
    document = document_of(WHOLE)
    for other in (WHOLE.parameters.astype(np.float64), network_of(hidden="relu", seed=2).parameters):
        with pytest.raises(Invalid):
            read(tensors.safetensors(document, other), "safetensors", LIMITS)


mutations = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.sampled_from(["flip", "cut", "repeat", "insert"]), st.binary(max_size=6)
    ),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, how: list[tuple[int, str, bytes]]) -> bytes:
    for number, kind, more in how:
        at = number % max(1, len(content))
        match kind:
            case "flip":
                content = content[:at] + bytes([content[at] ^ (1 + number % 255)]) + content[at + 1 :]
            case "cut":
                content = content[: at + 1]
            case "repeat":
                content = content[:at] + content[at // 2 :]
            case "insert":
                content = content[:at] + more + content[at:]
        content = content or b"{"
    return content


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@settings(max_examples=300, deadline=None)
@given(how=mutations)
def test_nothing_but_refusals_escapes(kind: str, how: list[tuple[int, str, bytes]]) -> None:
    content = mutated(JSON if kind == "json" else SAFETENSORS, how)
    try:
        found = read(content, kind, LIMITS)
    except (Invalid, MalformedRequest):
        pass
    else:
        assert found.parameters.sha256() == WHOLE.parameters.sha256()


def leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, each in items for leaf in leaves(each, f"{path}.{key}")] or [path[1:]]
    return [path[1:]]


PATHS = [path for path in leaves(json.loads(JSON)) if not path.startswith("parameters")]
values = st.one_of(
    *(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    *(
        st.text(max_size=5),
        st.lists(st.integers(0, 3), max_size=2),
        st.dictionaries(st.text(max_size=2), st.none()),
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PATHS), values)
def test_any_value_anywhere_is_taken_or_refused(path: str, value: Any) -> None:
    try:
        content = replaced(path, value)
        found = read(content, "json", LIMITS)
    except (Invalid, MalformedRequest):
        pass
    else:
        found.encoding.encode_rows([{each.name: None for each in found.encoding.features}])


def test_the_documented_example_is_a_model() -> None:
    example = ModelFile.model_json_schema()["examples"][0]
    found = read(json.dumps(example).encode(), "json", LIMITS)
    x, _ = found.encoding.encode_rows([{"x": 3.0}])
    outputs = outputs_of(found.parameters.architecture, found.parameters, x)
    assert found.encoding.decode_outputs(outputs) == [6.5]
