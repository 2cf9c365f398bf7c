"""Which snapshots of a job stay when newer ones are written: ``training.keep_epochs``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from app.engine.optimizers import RULES
from app.errors import Fault
from app.jobs.snapshots import OPTIMIZERS

Keep = str | list[int]
"""powers_of_two, last, all, or epochs in ascending order. The last state of a run stays in any case."""

FRAME_BYTES = 4096
"""What a snapshot takes beside its arrays, names, numbers and rows: about a page of the database."""

MOST_WAITING_BYTES = 64 * 2**20
"""So many of snapshots that are to stay wait for the next writing of epochs; beyond that they do not wait."""


def chooser(keep: Keep) -> Callable[[int], bool]:
    """Tells of an epoch (1, 2, …) whether the snapshot at its end stays, though others follow."""
    if isinstance(keep, list):
        return frozenset(keep).__contains__
    if keep == "powers_of_two":
        return lambda epoch: epoch & (epoch - 1) == 0
    return lambda _: keep == "all"


def most_kept(keep: Keep, epochs: int) -> int:
    """How many snapshots stay of a run that goes through all of its epochs."""
    if isinstance(keep, list):
        return len({*keep, epochs})
    if keep == "powers_of_two":
        powers = epochs.bit_length()
        return powers + (epochs != 1 << (powers - 1))
    return epochs if keep == "all" else 1


def snapshot_bytes(training: dict[str, Any], parameter_count: int) -> int:
    """What one snapshot takes: parameters, what the optimizer remembers, and the best ones if wanted."""
    optimizer, stopping = training["optimizer"], training["early_stopping"]
    rule = RULES.get(OPTIMIZERS[optimizer["name"]])
    remembered = 2 * optimizer["memory"] if rule is None else len(rule.state)
    best = stopping is not None and stopping["restore_best_weights"]
    vectors: int = 1 + remembered + best
    itemsize: int = np.dtype(training["dtype"]).itemsize
    return FRAME_BYTES + vectors * parameter_count * itemsize


def most_bytes(training: dict[str, Any], parameter_count: int) -> int:
    """What a job may keep at most: its snapshots, and its model."""
    model: int = FRAME_BYTES + parameter_count * np.dtype(training["dtype"]).itemsize
    count = most_kept(training["keep_epochs"], training["epochs"])
    return count * snapshot_bytes(training, parameter_count) + model


def resolve(
    training: dict[str, Any],
    parameter_count: int,
    most_bytes: int,
    faults: list[Fault],
    warnings: list[Fault],
) -> Keep:
    """What is to be kept, where nothing else is left to choose.

    "auto" gives way, with a warning, where the powers of two would take more than ``most_bytes``; whatever
    else was asked for is a fault then.
    """
    asked, epochs, param = training["keep_epochs"], training["epochs"], "training.keep_epochs"
    keep = "powers_of_two" if asked == "auto" else asked
    if isinstance(keep, list):
        keep = sorted(set(keep))
        if keep[-1] > epochs:
            message = f"Epoch {keep[-1]} is beyond the {epochs} epochs of training."
            faults.append(Fault(param, "out_of_range", message, "The last epoch is kept in any case."))
            return "last"
    count, each = most_kept(keep, epochs), snapshot_bytes(training, parameter_count)
    if count == 1 or count * each <= most_bytes:
        return keep
    message = (
        f"{count} snapshots of {each} bytes are {count * each}; this server keeps {most_bytes} of a job."
    )
    if asked == "auto":
        message += " Only the last one is kept."
        hint = "Name the few epochs that you need in training.keep_epochs."
        warnings.append(Fault(param, "only_last_kept", message, hint))
    else:
        hint = 'Keep fewer epochs, or "last".'
        faults.append(Fault(param, "out_of_range", message, hint))
    return "last"
