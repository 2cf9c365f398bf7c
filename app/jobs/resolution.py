"""From what a client asked for to what will be done: every "auto" gets its value, every misfit its fault."""

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from app.architectures.schemas import ArchitectureSpec, HiddenLayer
from app.datasets import roles
from app.datasets.encoding import Task
from app.errors import Fault, Invalid
from app.jobs.schemas import GradientDescent, JobCreate, Training
from app.settings import Settings

PAPER: dict[str, Any] = {
    "cost": "squared_error",
    "optimizer": GradientDescent(),
    "batch_size": "full",
    "validation_fraction": 0.0,
    "test_fraction": 0.0,
    "early_stopping": None,
    "standardize": False,
    "dtype": "float64",
}

Sizes = Callable[[str, list[str], dict[str, Any]], tuple[int, int]]
"""From task, targets and training options: the rows that are trained on, and those that validate."""

AUTO_LAYERS = [HiddenLayer(units=32, activation="relu"), HiddenLayer(units=16, activation="relu")]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A job with nothing left to choose. ``architecture`` has ``inputs`` s_1 and ``output.units`` s_n."""

    task: str
    target: list[str]
    features: list[str]
    architecture: dict[str, Any]
    training: dict[str, Any]
    warnings: list[dict[str, Any]]


def resolve(
    asked: JobCreate,
    columns: list[dict[str, Any]],
    row_count: int,
    architecture: ArchitectureSpec | None,
    settings: Settings,
    sizes: Sizes | None = None,
) -> Resolved:
    """Resolve a job against its dataset's columns. Raises Invalid with every fault that was found.

    ``architecture``: the stored or inline one; None is "auto". ``sizes`` makes the split; without it, its
    parts are reckoned from the number of rows.
    """
    training = _with_preset(asked.training)
    wanted = "regression" if asked.task == "auto" and training.preset == "paper" else asked.task
    faults: list[Fault] = []
    warnings: list[Fault] = []
    targets = [asked.target] if isinstance(asked.target, str) else asked.target
    task: Task | None = None
    features: list[str] | None = None
    try:
        task, warnings = roles.resolve_task(columns, asked.target, wanted)
    except Invalid as error:
        faults += error.faults
    try:
        features = roles.resolve_features(columns, asked.features, asked.target)
    except Invalid as error:
        faults += error.faults
    if task is None or features is None:
        raise _refused(faults)
    rows = row_count - max(_missing(columns, name) for name in targets)
    spec = architecture or ArchitectureSpec(layers=AUTO_LAYERS)
    if sizes is None:
        sizes = partial(_reckoned, rows)
    options = _training(training, task, targets, sizes, faults)
    network = {
        "inputs": roles.input_width(columns, features),
        "layers": [layer.model_dump() for layer in spec.layers],
        "output": {
            "units": roles.output_width(columns, asked.target, task),
            "activation": _output(spec, task, options["cost"], training, faults),
            "initialization": spec.output.initialization,
        },
    }
    check_limits(network, settings, faults)
    if faults:
        raise _refused(faults)
    return Resolved(task, targets, features, network, options, [asdict(each) for each in warnings])


def _refused(faults: list[Fault]) -> Invalid:
    return Invalid(f"{faults[0].param}: {faults[0].message}", *faults)


def _with_preset(training: Training) -> Training:
    if training.preset != "paper":
        return training
    sent = {name: getattr(training, name) for name in training.model_fields_set}
    return Training.model_construct(**{**PAPER, **sent})


def _missing(columns: list[dict[str, Any]], name: str) -> int:
    return next((int(each["missing"]) for each in columns if each["name"] == name), 0)


def _reckoned(rows: int, _task: str, _targets: list[str], options: dict[str, Any]) -> tuple[int, int]:
    tested = round(rows * options["test_fraction"])
    validated = round(rows * options["validation_fraction"])
    return rows - tested - validated, validated


def _training(
    training: Training, task: str, targets: list[str], sizes: Sizes, faults: list[Fault]
) -> dict[str, Any]:
    stratify = task == "classification" if training.stratify == "auto" else training.stratify
    trained, validated = sizes(task, targets, {**training.model_dump(), "stratify": stratify})
    if trained < 1 or training.validation_fraction + training.test_fraction >= 1:
        message = "No row with a target is left for training."
        faults.append(Fault("training.validation_fraction", "out_of_range", message, "Lower the fractions."))
    cost = training.cost
    if cost == "auto":
        cost = "cross_entropy" if task == "classification" else "squared_error"
    if cost == "cross_entropy" and task == "regression":
        message = "cross_entropy is for classification; this is a regression."
        faults.append(Fault("training.cost", "not_allowed", message, "Use squared_error."))
    batch_size = training.batch_size
    if batch_size == "auto":
        batch_size = next(size for most, size in _BATCHES if trained <= most)
    return {
        **training.model_dump(),
        "cost": cost,
        "batch_size": batch_size,
        "stratify": stratify,
        "early_stopping": _early_stopping(training, validated, faults),
        "threads": 1,
    }


_BATCHES: tuple[tuple[float, int], ...] = ((2_000, 32), (10_000, 64), (100_000, 128), (float("inf"), 256))
"""Most training rows, and the minibatch that "auto" takes for them."""


def _early_stopping(training: Training, validated: int, faults: list[Fault]) -> dict[str, Any] | None:
    wanted = training.early_stopping
    if wanted is None:
        return None
    if wanted.monitor == "validation_cost" and validated == 0:
        if "early_stopping" in training.model_fields_set:
            message = "Early stopping on validation_cost needs a validation split."
            hint = 'Set training.validation_fraction, or monitor "cost".'
            faults.append(Fault("training.early_stopping", "not_allowed", message, hint))
        return None
    return wanted.model_dump()


def _output(spec: ArchitectureSpec, task: str, cost: str, training: Training, faults: list[Fault]) -> str:
    param, activation = "architecture.output.activation", spec.output.activation
    if activation == "auto":
        if training.preset == "paper":
            message = "The paper preset needs an output activation: the paper has f in every layer."
            faults.append(Fault(param, "missing_field", message, 'For example "sigmoid".'))
        if task == "regression":
            return "identity"
        return "softmax" if cost == "cross_entropy" else "sigmoid"
    if cost == "cross_entropy" and activation not in ("softmax", "sigmoid"):
        message = f"cross_entropy needs probabilities, and the output activation is {activation}."
        faults.append(Fault(param, "not_allowed", message, "Use softmax, or sigmoid for independent labels."))
    if cost != "cross_entropy" and activation == "softmax":
        message = "softmax goes only with the cost cross_entropy."
        faults.append(Fault(param, "not_allowed", message, "Use sigmoid with squared_error."))
    return activation


def check_limits(network: dict[str, Any], settings: Settings, faults: list[Fault]) -> None:
    """Append a fault for each limit of this server that the network is beyond."""
    layers = network["layers"]
    if len(layers) > settings.max_hidden_layers:
        message = f"{len(layers)} hidden layers; this server takes {settings.max_hidden_layers}."
        faults.append(Fault("architecture.layers", "out_of_range", message))
        return
    beyond = [index for index, layer in enumerate(layers) if layer["units"] > settings.max_units]
    for index in beyond:
        message = f"This server takes at most {settings.max_units} units a layer."
        faults.append(Fault(f"architecture.layers[{index}].units", "out_of_range", message))
    sizes = [network["inputs"], *(layer["units"] for layer in layers), network["output"]["units"]]
    count = sum(s_next * (s + 1) for s, s_next in itertools.pairwise(sizes))
    if not beyond and count > settings.max_parameters:
        message = f"The network has {count} parameters; this server takes {settings.max_parameters}."
        faults.append(Fault("architecture.layers", "out_of_range", message, "Use fewer units."))
