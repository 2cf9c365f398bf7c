"""Which columns a job learns from and which it predicts, from their descriptions alone (see `profile`)."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from app.datasets.encoding import Task
from app.errors import Fault, Invalid

Columns = Sequence[Mapping[str, Any]]

INTEGER_CLASS_LIMIT = 10
"""Integers with more distinct values than this are a quantity unless classification is asked for."""

FAULT_LIMIT = 20
HINT_LIMIT = 3
"""Unknown names that are given their nearest column: each is compared with all of them."""

_LESS, _ANOTHER = "Leave it out.", "Name another column."


def resolve_task(
    columns: Columns, target: str | Sequence[str], requested: str = "auto"
) -> tuple[Task, list[Fault]]:
    """The task for `target`, and warnings (the guess from integers; rows whose target is missing).

    `requested` is auto, classification or regression. `Invalid` where the target is unknown, text, without
    values or constant, or does not go with the task. A list of targets is regression, of numbers only.
    """
    names = [target] if isinstance(target, str) else list(target)
    if not names or len(set(names)) < len(names):
        raise _invalid("target", "invalid_target", "Name at least one column, and none twice.")
    by_name = {column["name"]: column for column in columns}
    described = [_target(by_name, name) for name in names]
    task, warnings = _task(described, isinstance(target, str), requested)
    if missing := max(column["missing"] for column in described):
        message = f"At least {missing} rows have no target value; they are in no split."
        if len(described) == 1:
            message = message.removeprefix("At least ")
        warnings.append(Fault("target", "missing_target", message))
    return task, warnings


def resolve_features(
    columns: Columns, requested: Sequence[str] | None, target: str | Sequence[str], *others: str | None
) -> list[str]:
    """The feature columns: those asked for, or all used by default but the targets and `others` (weights).

    `Invalid` where a name is unknown, there twice, text, all missing, a target or one of `others`; or none is
    left.
    """
    taken = {target} if isinstance(target, str) else set(target)
    taken |= {name for name in others if name is not None}
    if requested is None:
        names = [c["name"] for c in columns if c["used_by_default"] and c["name"] not in taken]
        if not names:
            message = "No column is left to learn from."
            raise _invalid("features", "no_features", message, "Name the features: all were set aside.")
        return names
    by_name = {column["name"]: column for column in columns}
    faults: list[Fault] = []
    seen: set[str] = set()
    unknown = 0
    for i, name in enumerate(requested):
        column = by_name.get(name)
        if column is None:
            unknown += 1
            faults.append(_unknown(f"features[{i}]", name, by_name if unknown <= HINT_LIMIT else ()))
        elif name in taken:
            faults.append(
                Fault(f"features[{i}]", "target_in_features", "It is the target or the weights.", _LESS)
            )
        elif name in seen:
            faults.append(Fault(f"features[{i}]", "duplicate_feature", "It is named twice.", _LESS))
        elif column["type"] == "text":
            faults.append(Fault(f"features[{i}]", "text_column", "Text is not used yet.", _as_category(name)))
        elif column["distinct"] == 0:
            faults.append(Fault(f"features[{i}]", "empty_column", "All of its values are missing.", _LESS))
        if len(faults) == FAULT_LIMIT:
            break
        seen.add(name)
    if not requested:
        faults.append(Fault("features", "no_features", "Name at least one column, or leave it null."))
    if faults:
        raise Invalid("The features do not fit the dataset.", *faults)
    return list(requested)


def weights_fault(columns: Columns, name: str | None, target: str | Sequence[str]) -> Fault | None:
    """Why this column cannot say what each row counts, if it cannot: it must be a number, and no target."""
    if name is None:
        return None
    param = "training.sample_weight_column"
    by_name = {column["name"]: column for column in columns}
    if name not in by_name:
        return _unknown(param, name, by_name)
    if name in ([target] if isinstance(target, str) else target):
        return Fault(param, "not_allowed", "It is the target.", "Name another column, or leave it null.")
    if by_name[name]["type"] != "number":
        kind = by_name[name]["type"]
        return Fault(param, "wrong_type", f"Weights are numbers; this is a {kind} column.", _as_number(name))
    return None


def bytes_per_row(columns: Columns, names: Iterable[str]) -> int:
    """What a row of these columns takes in a table: see `table.Column`."""
    taken = set(names)
    return sum(
        8 if column["type"] in ("number", "date") else 4 for column in columns if column["name"] in taken
    )


def output_width(columns: Columns, target: str | Sequence[str], task: Task) -> int:
    """s_n: one output per class of the dataset, or per regression target."""
    if task == "regression":
        return 1 if isinstance(target, str) else len(target)
    (name,) = [target] if isinstance(target, str) else target
    column = next(column for column in columns if column["name"] == name)
    return 2 if column["type"] == "boolean" else int(column["distinct"])


def _task(described: Columns, is_single: bool, requested: str) -> tuple[Task, list[Fault]]:
    kinds = {column["type"] for column in described}
    if not is_single or requested == "regression":
        if kinds != {"number"}:
            raise _invalid("target", "wrong_type", "Regression needs targets that are numbers.", _ANOTHER)
        if requested == "classification":
            raise _invalid("task", "wrong_task", "Several targets are always regression.", "Name one column.")
        return "regression", []
    (column,) = described
    if column["type"] != "number":
        return "classification", []
    if requested == "classification":
        if not column["integer"] or column["distinct"] is None:
            message = "Classes must be categories, booleans, or integers with at most 1,000 distinct values."
            raise _invalid("target", "not_classes", message, 'Ask for "task": "regression".')
        return "classification", []
    if not column["integer"] or (column["distinct"] or INTEGER_CLASS_LIMIT + 1) > INTEGER_CLASS_LIMIT:
        return "regression", []
    message = f"The target has {column['distinct']} distinct integers: they were taken as classes."
    hint = 'If they are a quantity, set "task": "regression".'
    return "classification", [Fault("task", "guessed_classification", message, hint)]


def _target(by_name: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    column = by_name.get(name)
    if column is None:
        raise Invalid(None, _unknown("target", name, by_name))
    if column["type"] == "text":
        raise _invalid("target", "text_column", f"'{name}' is text.", _as_category(name))
    if column["type"] == "date":
        raise _invalid("target", "wrong_type", f"'{name}' is a date.", "Predict a number, or a category.")
    if column["distinct"] == 0:
        raise _invalid("target", "empty_column", f"All values of '{name}' are missing.", _ANOTHER)
    if column["distinct"] == 1:
        message = f"All values of '{name}' are the same: there is nothing to learn."
        raise _invalid("target", "constant_target", message, _ANOTHER)
    return column


def _unknown(param: str, name: str, known: Iterable[str]) -> Fault:
    near = get_close_matches(name[:255], known, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else None
    return Fault(param, "unknown_column", "The dataset has no such column.", hint)


def _as_category(name: str) -> str:
    return f'If its values are classes, upload with columns {{"{name}": {{"type": "category"}}}}.'


def _as_number(name: str) -> str:
    return f'If its values are numbers, upload with columns {{"{name}": {{"type": "number"}}}}.'


def _invalid(param: str, code: str, message: str, hint: str | None = None) -> Invalid:
    return Invalid(None, Fault(param, code, message, hint))
