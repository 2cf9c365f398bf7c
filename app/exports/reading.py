"""A model's file as it comes back, from whoever: checked until it is one that a job could have left."""

import json
import math
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from app import strict_json
from app.architectures.network import to_engine
from app.datasets.encoding import Encoding
from app.engine import COSTS, Architecture, Parameters
from app.engine.costs import allowed
from app.engine.network import ShapeMismatch
from app.errors import Fault, Invalid, MalformedRequest
from app.exports.schemas import ModelDocument
from app.exports.tensors import DOCUMENT, tensors_of
from app.validation import invalid

Json = dict[str, Any]

NAME_LIMIT = 255
MOST_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a network may have."""

    max_hidden_layers: int
    max_units: int
    max_parameters: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that has passed."""

    document: ModelDocument
    encoding: Encoding
    training: Json
    parameters: Parameters

    def described(self) -> Json:
        """What is kept of it beside the parameters, as JSON values."""
        told = self.document
        return {
            "name": told.name,
            "task": told.task,
            "architecture": told.architecture.model_dump(),
            "training": self.training,
            "encoding": self.encoding.to_json(),
            "parameter_count": self.parameters.architecture.parameter_count,
            "dataset_sha256": told.dataset_sha256,
            "sha256": told.sha256,
        }


def read(content: bytes, kind: str, limits: Limits) -> Imported:
    """The model in a file of that format. Raises Invalid, or MalformedRequest for JSON that is none."""
    sent, tensors = _json(content) if kind == "json" else _safetensors(content)
    document = _document(sent)
    architecture = _architecture(document, limits)
    encoding = _encoding(document.encoding)
    _check_fit(document, architecture, encoding)
    parameters = _parameters(architecture, tensors, document.dtype)
    if parameters.sha256() != document.sha256:
        raise _refused("sha256", "not_allowed", "The parameters are not those that this SHA-256 is of.")
    return Imported(document, encoding, _training(document, architecture), parameters)


def _json(content: bytes) -> tuple[object, Json]:
    sent = strict_json.loads(content)
    layers = sent.pop("parameters", []) if isinstance(sent, dict) else []
    if not isinstance(layers, list) or not all(isinstance(each, dict) for each in layers):
        raise _refused("parameters", "wrong_type", "Expected a list with a W and a b for each layer.")
    named = enumerate(layers, 1)
    return sent, {f"{letter}{l}": each.get(letter) for l, each in named for letter in "Wb"}


def _safetensors(content: bytes) -> tuple[object, Json]:
    try:
        tensors = tensors_of(content)
        size = int.from_bytes(content[:8], "little")
        header = strict_json.loads(content[8 : 8 + size].rstrip())
        told = header["__metadata__"][DOCUMENT]
    except (SafetensorError, MalformedRequest):
        raise _refused(
            "file",
            "unreadable_file",
            "The file is no safetensors. What comes back is an export as safetensors or JSON.",
        ) from None
    except (KeyError, TypeError, ValueError):
        message = f"The file's metadata have no '{DOCUMENT}': it is no export of this server's."
        raise _refused("file", "unreadable_file", message) from None
    return strict_json.loads(told.encode("utf-8", "surrogatepass")), dict(tensors)


def _document(sent: object) -> ModelDocument:
    try:
        return ModelDocument.model_validate_json(json.dumps(sent))
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), sent, ("body",)) from None


def _architecture(document: ModelDocument, limits: Limits) -> Architecture:
    told = document.architecture
    if len(told.layers) > limits.max_hidden_layers:
        message = f"At most {limits.max_hidden_layers} hidden layers."
        raise _refused("architecture.layers", "out_of_range", message)
    units = [told.output.units, *(each.units for each in told.layers)]
    if max(units) > limits.max_units:
        raise _refused("architecture", "out_of_range", f"At most {limits.max_units} units a layer.")
    architecture = to_engine(told.model_dump())
    if architecture.parameter_count > limits.max_parameters:
        message = (
            f"At most {limits.max_parameters} weights and biases; here are {architecture.parameter_count}."
        )
        raise _refused("architecture", "out_of_range", message)
    return architecture


def _encoding(sent: Json) -> Encoding:
    """Raise Invalid for one that `Encoding.to_json` would not have written."""
    try:
        encoding = Encoding.from_json(sent)
        TypeAdapter(Encoding).validate_json(json.dumps(encoding.to_json()), strict=True)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _refused("encoding", "invalid", "This is no encoding that this server writes.") from None
    names = [*(each.name for each in encoding.features), *(each.name for each in encoding.targets)]
    for name in (*names, *encoding.other_columns):
        if not 1 <= len(name) <= NAME_LIMIT or any(unicodedata.category(each) == "Cc" for each in name):
            message = f"Columns have names of 1 to {NAME_LIMIT} characters, none a control one."
            raise _refused("encoding", "invalid", message)
    if len(set(names)) < len(names) or not encoding.features or not encoding.targets:
        message = "There must be features and targets, and none twice."
        raise _refused("encoding", "invalid", message)
    for each in encoding.features:
        if fault := _fault(each):
            raise _refused("encoding.features", "invalid", fault)
    for target in encoding.targets:
        if not _is_scale(target.offset, target.scale):
            raise _refused("encoding.targets", "invalid", "A target's scale must be a finite number above 0.")
    return encoding


def _is_scale(offset: float, scale: float) -> bool:
    return scale > 0 and math.isfinite(scale) and math.isfinite(offset)


def _fault(each: Any) -> str | None:
    """What is wrong with a feature whose fields have the right types."""
    match each.type:
        case "number" | "date":
            fine = _is_scale(each.offset, each.scale)
            fine = fine and math.isfinite((each.mean - each.offset) / each.scale)
            return None if fine else "Mean, offset and scale are finite, and the scale above 0."
        case "boolean":
            fine = each.most_frequent in (0, 1) and len(each.categories) == 2
            return None if fine else "A boolean's most frequent value is 0 or 1."
        case "category":
            distinct = len(set(each.categories)) == len(each.categories) == len(each.known)
            distinct = distinct and len(getattr(each, "rare", ())) in (0, len(each.categories))
            within = 0 <= each.most_frequent < max(1, len(each.categories))
            return None if distinct and within else "A category's values differ, and match what is known."
    return "There is no such type."


def _check_fit(document: ModelDocument, architecture: Architecture, encoding: Encoding) -> None:
    """Raise Invalid where architecture, encoding and task do not go together."""
    s, classes = architecture.s, encoding.classes
    if (s[1], s[architecture.n]) != (encoding.input_width, encoding.output_width):
        message = (
            f"The encoding has {encoding.input_width} inputs and {encoding.output_width} outputs, "
            f"the architecture {s[1]} and {s[architecture.n]}."
        )
        raise _refused("architecture", "wrong_shape", message)
    if encoding.task != document.task or (classes is not None) != (document.task == "classification"):
        raise _refused("task", "wrong_task", "The task does not go with the encoding.")
    if classes is not None:
        in_order = list(classes) == sorted(set(classes)) and len(classes) <= MOST_CLASSES
        if not in_order or len(encoding.targets) != 1:
            message = "Classes must differ and be in code-point order, of one target."
            raise _refused("encoding.classes", "invalid", message)
    if document.classes != (None if classes is None else list(classes)):
        raise _refused("classes", "not_allowed", "These are not the encoding's classes.")


def _training(document: ModelDocument, architecture: Architecture) -> Json:
    """Of the options that it was trained with, those that have a meaning afterwards."""
    cost, decay = document.training.get("cost"), document.training.get("weight_decay", 0.0)
    output = architecture.layers[-1].activation
    if not isinstance(cost, str) or cost not in COSTS or not allowed(cost, output):
        raise _refused("training.cost", "not_allowed", "The output layer has no such cost.")
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < math.inf:
        raise _refused("training.weight_decay", "wrong_type", "Expected a number of at least 0.")
    return {"cost": cost, "weight_decay": float(decay), "dtype": document.dtype}


def _parameters(architecture: Architecture, tensors: Json, dtype: str) -> Parameters:
    expected = {f"{letter}{l}" for l in range(1, architecture.n) for letter in "Wb"}
    if set(tensors) != expected:
        raise _refused("parameters", "wrong_shape", f"Expected {architecture.n - 1} pairs of W and b.")
    if any(isinstance(each, np.ndarray) and each.dtype != np.dtype(dtype) for each in tensors.values()):
        raise _refused("parameters", "wrong_type", f"Every tensor must be {dtype}.")
    pairs = [(tensors[f"W{l}"], tensors[f"b{l}"]) for l in range(1, architecture.n)]
    for l, pair in enumerate(pairs):
        if not all(isinstance(each, np.ndarray) or _is_numbers(each) for each in pair):
            raise _refused(f"parameters[{l}]", "wrong_type", "Expected lists of numbers.")
    try:
        with np.errstate(over="ignore"):
            parameters = Parameters.of(architecture, pairs, dtype)
    except ShapeMismatch as error:
        raise _refused(f"parameters{error.where}", "wrong_shape", f"{error}.") from None
    if not parameters.is_finite():
        raise _refused("parameters", "not_finite", f"Every parameter must be finite in {dtype}.")
    return parameters


def _is_numbers(value: object) -> bool:
    """Lists of numbers, or of such lists; true and "1" are none."""
    if not isinstance(value, list):
        return False
    if value and all(isinstance(each, list) for each in value):
        return all(_is_numbers(each) for each in value)
    return all(type(each) in (int, float) for each in value)


def _refused(param: str, code: str, message: str) -> Invalid:
    return Invalid(f"{param}: {message}", Fault(param, code, message))
