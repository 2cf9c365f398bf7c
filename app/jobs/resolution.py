"""From what a client asked for to what will be done: every "auto" gets its value, every misfit its fault."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from app.architectures.network import to_engine
from app.architectures.schemas import ArchitectureSpec, HiddenLayer
from app.datasets import layout, roles
from app.datasets.encoding import Task
from app.engine import allowed, automatic_initialization, leaves_for
from app.errors import Fault, Invalid
from app.jobs import keeping, memory
from app.jobs.memory import Load, Need
from app.jobs.optimizers import LBFGS
from app.jobs.options import Survey, reckoned, resolve_options, resolve_threads, with_preset
from app.jobs.schemas import JobCreate, Training
from app.settings import Settings

FEW_INPUTS, MANY_INPUTS = 4, 100
UNITS, MORE_UNITS = 100, 256
DROPOUT = 0.2
"""Of the architecture "auto": docs/decisions/0021 has what they were chosen by."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A job with nothing left to choose. ``architecture`` has ``inputs`` s_1 and ``output.units`` s_n.

    ``initial_model_id`` is the id of the model that it starts from, where an alias may have been asked for.
    """

    task: str
    target: list[str]
    features: list[str]
    architecture: dict[str, Any]
    training: dict[str, Any]
    warnings: list[dict[str, Any]]
    rows: Load
    need: Need
    initial_model_id: str | None = None


def resolve(
    asked: JobCreate,
    columns: list[dict[str, Any]],
    row_count: int,
    architecture: ArchitectureSpec | None,
    settings: Settings,
    survey: Survey | None = None,
) -> Resolved:
    """Resolve a job against its dataset's columns. Raises Invalid with every fault that was found.

    ``architecture``: the stored, inline or initial model's one; None is "auto". ``survey`` makes the split;
    without it, its parts are reckoned from the number of rows, which does not do for weights.
    """
    training = with_preset(asked.training)
    wanted = "regression" if asked.task == "auto" and training.preset == "paper" else asked.task
    faults: list[Fault] = []
    warnings: list[Fault] = []
    targets = [asked.target] if isinstance(asked.target, str) else asked.target
    weights = training.sample_weight_column
    task: Task | None = None
    features: list[str] | None = None
    try:
        task, warnings = roles.resolve_task(columns, asked.target, wanted)
    except Invalid as error:
        faults += error.faults
    try:
        features = roles.resolve_features(columns, asked.features, asked.target, weights)
    except Invalid as error:
        faults += error.faults
    if (fault := roles.weights_fault(columns, weights, asked.target)) is not None:
        faults.append(fault)
        training = training.model_copy(update={"sample_weight_column": None})
    if task is None or features is None:
        raise _refused(faults)
    rows = row_count - max(_missing(columns, name) for name in targets)
    inputs = layout.input_width(columns, features, training.model_dump(include=set(layout.PLAIN)), row_count)
    spec = architecture or automatic(inputs, training)
    options, trained, misfits = resolve_options(
        training, spec, task, targets, survey or reckoned(rows), automatic=architecture is None
    )
    faults += misfits
    activation = _output(spec, task, options["cost"], training, faults)
    network = {
        "inputs": inputs,
        "layers": [
            {**layer.model_dump(), "initialization": _start(layer.initialization, layer.activation)}
            for layer in spec.layers
        ],
        "output": {
            "units": roles.output_width(columns, asked.target, task),
            "activation": activation,
            "initialization": _start(spec.output.initialization, activation),
        },
    }
    check_limits(network, settings, faults)
    leaves = 1
    if not faults:
        size = trained if options["batch_size"] == "full" else min(options["batch_size"], trained)
        engine_network = to_engine(network)
        leaves = leaves_for(engine_network, size)
        parts = engine_network.parameter_count, settings.max_kept_bytes
        options["keep_epochs"] = keeping.resolve(options, *parts, faults, warnings)
    options |= {"threads": resolve_threads(training.threads, leaves, settings, faults), "leaves": leaves}
    if faults:
        raise _refused(faults)
    validated = min(round(rows * training.validation_fraction), rows - trained)
    read = roles.bytes_per_row(columns, [*features, *targets, *([] if weights is None else [weights])])
    load = Load(trained, validated, rows - trained - validated, row_count * read)
    need = memory.estimate(network, options, load)
    if (fault := memory.fault(need, settings.memory_of_a_job)) is not None:
        refusal = _refused([fault])
        refusal.members = {"memory": {**need.to_json(), "allowed": settings.memory_of_a_job}}
        raise refusal
    told = [asdict(each) for each in warnings]
    return Resolved(task, targets, features, network, options, told, load, need)


def automatic(inputs: int, training: Training) -> ArchitectureSpec:
    """The architecture "auto": wide enough for a table of so many inputs, and kept from learning it by heart.

    lbfgs takes no dropout, and the paper knows none.
    """
    units = UNITS if inputs < MANY_INPUTS else MORE_UNITS
    plain = training.preset == "paper" or isinstance(training.optimizer, LBFGS)
    dropout = 0.0 if plain or inputs < FEW_INPUTS else DROPOUT
    return ArchitectureSpec(layers=[HiddenLayer(units=units, activation="relu", dropout=dropout)])


def _refused(faults: list[Fault]) -> Invalid:
    return Invalid(f"{faults[0].param}: {faults[0].message}", *faults)


def _missing(columns: list[dict[str, Any]], name: str) -> int:
    return next((int(each["missing"]) for each in columns if each["name"] == name), 0)


def _output(spec: ArchitectureSpec, task: str, cost: str, training: Training, faults: list[Fault]) -> str:
    param, activation = "architecture.output.activation", spec.output.activation
    if activation == "auto":
        if training.preset == "paper":
            message = "The paper preset needs an output activation: the paper has f in every layer."
            faults.append(Fault(param, "missing_field", message, 'For example "sigmoid".'))
        if task == "regression":
            return "identity"
        return "softmax" if cost == "cross_entropy" else "sigmoid"
    if not allowed(cost, activation):
        message, hint = "softmax goes only with the cost cross_entropy.", f"Use sigmoid with {cost}."
        if cost == "cross_entropy":
            message = f"cross_entropy needs probabilities, and the output activation is {activation}."
            hint = "Use softmax, or sigmoid for independent labels."
        faults.append(Fault(param, "not_allowed", message, hint))
    return activation


def _start(initialization: str, activation: str) -> str:
    return automatic_initialization(activation) if initialization == "auto" else initialization


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
