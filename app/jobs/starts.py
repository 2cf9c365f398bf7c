"""Where a job's parameters start: as they were sent, or as another model has them."""

from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.architectures.network import to_engine
from app.architectures.schemas import ArchitectureSpec
from app.engine import Parameters, ShapeMismatch
from app.errors import Fault, Invalid
from app.jobs.resolution import Resolved
from app.jobs.schemas import LayerParameters
from app.models import parameters as codec
from app.storage.blobs import Blobs, Staged
from app.storage.tables import Model

_SHAPES = "Element k is W^(k), s_{k+1} rows of s_k numbers, and b^(k), s_{k+1} numbers."
_WIDER = 'Use "dtype": "float64".'


def sent(blobs: Blobs, layers: list[LayerParameters], resolved: Resolved) -> Staged:
    """Keep parameters that came with the request. Raises Invalid where they do not fit the network."""
    return blobs.stage(codec.dump(checked(layers, resolved)))


def checked(layers: list[LayerParameters], resolved: Resolved) -> Parameters:
    """Parameters that came with the request. Raises Invalid where they do not fit the network."""
    try:
        pairs = [(layer.W, layer.b) for layer in layers]
        parameters = Parameters.of(to_engine(resolved.architecture), pairs, resolved.training["dtype"])
    except ShapeMismatch as error:
        where = error.where if error.where.startswith("[") else ""
        message = f"Expected {_shape(error.expected)}, got {_shape(error.got)}."
        fault = Fault(f"initial_parameters{where}", "wrong_shape", message, _SHAPES)
        raise Invalid(f"{fault.param}: {message}", fault) from None
    _check_range(parameters, "initial_parameters")
    return parameters


def spec_of(model: Model) -> ArchitectureSpec:
    """The model's layers, as if they had been sent inline."""
    output = {name: model.architecture["output"][name] for name in ("activation", "initialization")}
    return ArchitectureSpec.model_validate({"layers": model.architecture["layers"], "output": output})


def check_fit(session: Session, blobs: Blobs, model: Model, resolved: Resolved) -> None:
    """Raise Invalid unless the model's parameters have the shapes, and the range, of the job's."""
    there, here = to_engine(model.architecture), to_engine(resolved.architecture)
    if there.s != here.s:
        message = f"The model's layers are of {_sizes(there.s)} units, and this job's of {_sizes(here.s)}."
        hint = "Leave out the architecture to take the model's, and use as many inputs and outputs."
        raise Invalid(message, Fault("initial_model_id", "wrong_shape", message, hint))
    if (model.training["dtype"], resolved.training["dtype"]) == ("float64", "float32"):
        with np.errstate(over="ignore"):
            narrowed = codec.load(there, blobs.read(session, model.parameters)).astype("float32")
        _check_range(narrowed, "initial_model_id")


def differences(model: Model, resolved: Resolved, columns: list[dict[str, Any]], classes: Any) -> list[Fault]:
    """Warnings where the model's inputs or outputs stand for something else than the job's.

    ``columns`` describe the job's dataset; ``classes`` are its target's, in order, or None.
    """
    by_name = {column["name"]: column for column in columns}
    here = [(name, _categories(by_name[name])) for name in resolved.features]
    there = [(each["name"], _categories(each)) for each in model.encoding["features"]]
    warnings = []
    if here != there:
        message = "The initial model was trained on other features, or on other categories of them."
        hint = "Its weights meet this job's inputs by position alone."
        warnings.append(Fault("initial_model_id", "different_features", message, hint))
    targets = [each["name"] for each in model.encoding["targets"]]
    known = model.encoding["classes"]
    if (None if known is None else list(known)) != (None if classes is None else list(classes)) or (
        known is None and targets != resolved.target
    ):
        message = "The initial model was trained on other classes or targets."
        hint = "Its outputs meet this job's by position alone."
        warnings.append(Fault("initial_model_id", "different_targets", message, hint))
    return warnings


def _categories(column: dict[str, Any]) -> list[str] | None:
    return list(column["categories"]) if column["type"] == "category" else None


def _check_range(parameters: Parameters, param: str) -> None:
    if not parameters.is_finite():
        message = "A number is beyond the range of the training dtype."
        raise Invalid(message, Fault(param, "not_finite", message, _WIDER))


def _shape(shape: tuple[int, ...] | None) -> str:
    return "no rectangle of numbers" if shape is None else " x ".join(str(size) for size in shape)


def _sizes(s: dict[int, int]) -> str:
    return "-".join(str(size) for size in s.values())
