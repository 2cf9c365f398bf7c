"""Training options resolved: the preset, every "auto", and what does not go together."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from app.architectures.schemas import ArchitectureSpec
from app.errors import Fault
from app.jobs.optimizers import LBFGS, GradientDescent
from app.jobs.schedules import Constant, Cosine
from app.jobs.schemas import Training
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
    "weight_decay": 0.0,
    "missing_indicators": False,
    "min_frequency": 1,
}


class Rows(NamedTuple):
    """What a job's split comes to: how many rows, what each class weighs, and what is wrong with weights."""

    train: int
    validation: int
    class_weight: dict[str, float] | None = None
    faults: tuple[Fault, ...] = ()


Survey = Callable[[str, list[str], dict[str, Any]], Rows]
"""From task, targets and training options: what their split comes to."""


def reckoned(rows: int) -> Survey:
    """A survey that goes by the number of rows alone. It cannot weigh them."""
    return partial(_reckoned, rows)


def _reckoned(rows: int, _task: str, _targets: list[str], options: dict[str, Any]) -> Rows:
    tested = round(rows * options["test_fraction"])
    validated = round(rows * options["validation_fraction"])
    return Rows(rows - tested - validated, validated)


def with_preset(training: Training) -> Training:
    """The options with those of the preset in place of the defaults."""
    if training.preset != "paper":
        return training
    sent = {name: getattr(training, name) for name in training.model_fields_set}
    return Training.model_construct(**{**PAPER, **sent})


def resolve_options(
    training: Training,
    spec: ArchitectureSpec,
    task: str,
    targets: list[str],
    survey: Survey,
    *,
    automatic: bool = False,
) -> tuple[dict[str, Any], int, list[Fault]]:
    """The options with nothing left to choose but threads and leaves, the number of training rows, and every
    fault. A weights column must be a number column. ``automatic``: the architecture was "auto", too.
    """
    faults: list[Fault] = []
    stratify = task == "classification" if training.stratify == "auto" else training.stratify
    options = {**training.model_dump(), "stratify": stratify}
    if training.class_weight is not None and task == "regression":
        message = "Only classes have class weights; this is a regression."
        hint = "Use training.sample_weight_column."
        faults.append(Fault("training.class_weight", "not_allowed", message, hint))
        options["class_weight"] = None
    if training.fold is not None:
        _check_fold(training, faults)
        options["test_fraction"] = 1 / training.fold.of
    rows = survey(task, targets, options)
    if rows.train < 1 or training.validation_fraction + options["test_fraction"] >= 1:
        message = "No row with a target is left for training."
        faults.append(Fault("training.validation_fraction", "out_of_range", message, "Lower the fractions."))
    else:
        faults += rows.faults
    options["class_weight"] = rows.class_weight
    options["cost"] = _cost(training, task, faults)
    options["batch_size"] = _batch_size(training, rows.train, faults, automatic)
    if training.weight_decay == "auto":
        options["weight_decay"] = WEIGHT_DECAY if automatic else 0.0
    options["early_stopping"] = _early_stopping(training, rows.validation, faults)
    _check_schedule(training, faults)
    if isinstance(training.optimizer, LBFGS):
        _check_lbfgs(training, spec, faults)
    return options, rows.train, faults


def _check_fold(training: Training, faults: list[Fault]) -> None:
    fold = training.fold
    assert fold is not None
    if fold.index >= fold.of:
        message = f"The {fold.of} folds are counted from 0."
        faults.append(Fault("training.fold.index", "out_of_range", message, f"Use 0 to {fold.of - 1}."))
    if "test_fraction" in training.model_fields_set and training.test_fraction not in (0.0, 1 / fold.of):
        message = "A fold is what is held out for testing."
        faults.append(Fault("training.test_fraction", "not_allowed", message, "Leave it out."))


def _cost(training: Training, task: str, faults: list[Fault]) -> str:
    if training.cost == "auto":
        return "cross_entropy" if task == "classification" else "squared_error"
    if training.cost == "cross_entropy" and task == "regression":
        message = "cross_entropy is for classification; this is a regression."
        hint = "Use squared_error, absolute_error or huber."
        faults.append(Fault("training.cost", "not_allowed", message, hint))
    return training.cost


WEIGHT_DECAY = 0.001
FEW_ROWS, SMALL_BATCH = 400, 16
"""With the architecture "auto": docs/decisions/0021 has what they were chosen by."""

_BATCHES: tuple[tuple[float, int], ...] = ((2_000, 32), (10_000, 64), (100_000, 128), (float("inf"), 256))
"""Most training rows, and the minibatch that "auto" takes for them."""


def _batch_size(training: Training, trained: int, faults: list[Fault], automatic: bool) -> int | str:
    size: int | str = training.batch_size
    if isinstance(training.optimizer, LBFGS):
        if size not in ("auto", "full"):
            message = "lbfgs takes all training rows at once."
            faults.append(Fault("training.batch_size", "not_allowed", message, 'Use "full", or adam.'))
        return "full"
    if size != "auto":
        return size
    if automatic and trained <= FEW_ROWS:
        return SMALL_BATCH
    return next(each for most, each in _BATCHES if trained <= most)


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


def _check_schedule(training: Training, faults: list[Fault]) -> None:
    schedule, param = training.learning_rate_schedule, "training.learning_rate_schedule"
    if schedule.warmup_epochs > training.epochs:
        message = f"The warm-up is longer than the {training.epochs} epochs of training."
        hint = "Lower warmup_epochs, or raise training.epochs."
        faults.append(Fault(f"{param}.warmup_epochs", "out_of_range", message, hint))
    if isinstance(training.optimizer, LBFGS) or not isinstance(schedule, Cosine):
        return
    rate = training.optimizer.learning_rate
    if schedule.final_learning_rate > rate:
        message = f"It is above the learning rate that the cosine begins with, {rate}."
        hint = "Lower it, or raise training.optimizer.learning_rate."
        faults.append(Fault(f"{param}.final_learning_rate", "out_of_range", message, hint))


def _check_lbfgs(training: Training, spec: ArchitectureSpec, faults: list[Fault]) -> None:
    if training.learning_rate_schedule != Constant():
        message = "lbfgs has no learning rate: a line search finds the length of each step."
        hint = "Leave the schedule out, or use another optimizer, as adam."
        faults.append(Fault("training.learning_rate_schedule", "not_allowed", message, hint))
    if training.gradient_clip_norm is not None:
        message = "A clipped gradient is not the slope of the cost, which lbfgs needs."
        hint = "Leave it out, or use another optimizer, as adam."
        faults.append(Fault("training.gradient_clip_norm", "not_allowed", message, hint))
    for index, layer in enumerate(spec.layers):
        if layer.dropout:
            message = "Dropout changes the cost from step to step, and lbfgs compares costs of several steps."
            hint = "Use dropout 0, or another optimizer, as adam."
            faults.append(Fault(f"architecture.layers[{index}].dropout", "not_allowed", message, hint))


def resolve_threads(asked: str | int, leaves: int, settings: Settings, faults: list[Fault]) -> int:
    """How many cores a job may use: "auto" is a slot's share of them, and 1 where there is one leaf."""
    if not isinstance(asked, str):
        if asked > settings.max_threads:
            message = f"This server gives a job at most {settings.max_threads} threads."
            hint = 'Use "auto"; the number of threads changes no result.'
            faults.append(Fault("training.threads", "out_of_range", message, hint))
        return asked
    share = settings.cores // max(1, settings.workers)
    return 1 if leaves == 1 else max(1, min(share, settings.max_threads))
