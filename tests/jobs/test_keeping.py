"""Which snapshots stay, how many those are, and what they take."""

from typing import Any

import pytest

from app.engine import Snapshot
from app.errors import Fault
from app.jobs import keeping, snapshots
from app.jobs.keeping import FRAME_BYTES, Keep
from app.storage.tables import Job
from tests.support.rows import ARCHITECTURE, TRAINING

PARAMETERS = 13
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "gradient_descent", "learning_rate": 0.1},
    {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9},
    {"name": "rmsprop", "learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7},
    TRAINING["optimizer"],
    {"name": "lbfgs", "memory": 7, "tolerance": 1e-9},
]
STOPPING = {
    "monitor": "cost",
    "min_delta": 0.0,
    "patience": 20,
    "restore_best_weights": True,
    "start_from_epoch": 0,
}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("powers_of_two", [1, 2, 4, 8, 16]),
        ("all", list(range(1, 21))),
        ("last", []),
        ([3, 7, 20], [3, 7, 20]),
    ],
)
def test_the_epochs_that_are_kept(keep: Keep, expected: list[int]) -> None:
    is_kept = keeping.chooser(keep)
    assert [epoch for epoch in range(1, 21) if is_kept(epoch)] == expected


@pytest.mark.parametrize("keep", ["powers_of_two", "all", "last", [3], [3, 7]])
@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 8, 9, 1000])
def test_the_last_is_counted_once(keep: Keep, epochs: int) -> None:
    if isinstance(keep, list) and keep[-1] > epochs:
        return
    is_kept = keeping.chooser(keep)
    kept = {epoch for epoch in range(1, epochs + 1) if is_kept(epoch)} | {epochs}
    assert keeping.most_kept(keep, epochs) == len(kept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stopping", [None, STOPPING, {**STOPPING, "restore_best_weights": False}])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: str(each["name"]))
def test_the_bytes_are_those_of_the_arrays(
    optimizer: dict[str, Any], stopping: dict[str, Any] | None, dtype: str
) -> None:
    training = {**TRAINING, "optimizer": optimizer, "early_stopping": stopping, "dtype": dtype}
    plan = snapshots.plan_of(Job(architecture=ARCHITECTURE, training=training, task="regression"), 21)
    start = Snapshot.start(plan)
    if stopping is not None and stopping["restore_best_weights"]:
        start.best.parameters = start.parameters
    arrays, _ = start.to_parts()
    held = sum(each.nbytes for name, each in arrays.items() if name not in ("metric", "lbfgs.rho"))
    assert plan.architecture.parameter_count == PARAMETERS
    gaps = 14 * 4 * 64 if optimizer["name"] == "lbfgs" else 0  # its vectors have the gaps between blocks
    assert 0 <= FRAME_BYTES + held - keeping.snapshot_bytes(training, PARAMETERS) <= gaps
    assert len(snapshots.dump(start, "job_x", 1)) < FRAME_BYTES + held


def resolved(most: int = 10**9, **training: Any) -> tuple[Keep, list[Fault], list[Fault]]:
    faults: list[Fault] = []
    warnings: list[Fault] = []
    keep = keeping.resolve({**TRAINING, **training}, PARAMETERS, most, faults, warnings)
    return keep, faults, warnings


def test_auto_is_the_powers_of_two() -> None:
    assert resolved(keep_epochs="auto") == ("powers_of_two", [], [])
    assert resolved(keep_epochs="auto", epochs=1, most=0) == ("powers_of_two", [], [])


@pytest.mark.parametrize("keep", ["powers_of_two", "last", "all", [1, 5, 100]])
def test_what_was_asked_for_is_taken_where_there_is_room(keep: Keep) -> None:
    assert resolved(keep_epochs=keep) == (keep, [], [])


def test_a_list_is_sorted_and_each_epoch_kept_once() -> None:
    assert resolved(keep_epochs=[5, 1, 5, 100]) == ([1, 5, 100], [], [])


def test_auto_gives_way_with_the_numbers() -> None:
    each = keeping.snapshot_bytes(TRAINING, PARAMETERS)
    assert resolved(keep_epochs="auto", most=8 * each) == ("powers_of_two", [], [])
    keep, faults, (warning,) = resolved(keep_epochs="auto", most=8 * each - 1)
    assert (keep, faults, warning.code, warning.param) == (
        "last",
        [],
        "only_last_kept",
        "training.keep_epochs",
    )
    assert all(str(number) in warning.message for number in (8, each, 8 * each, 8 * each - 1))


@pytest.mark.parametrize(("keep", "count"), [("powers_of_two", 8), ("all", 100), ([1, 2, 3], 4)])
def test_what_was_asked_for_is_refused_with_the_numbers(keep: Keep, count: int) -> None:
    each = keeping.snapshot_bytes(TRAINING, PARAMETERS)
    assert resolved(keep_epochs=keep, most=count * each)[1] == []
    _, (fault,), warnings = resolved(keep_epochs=keep, most=count * each - 1)
    assert (fault.code, fault.param, warnings) == ("out_of_range", "training.keep_epochs", [])
    assert all(str(number) in fault.message for number in (count, each, count * each))


@pytest.mark.parametrize("keep", ["last", [100]])
def test_the_last_alone_is_always_taken(keep: Keep) -> None:
    assert resolved(keep_epochs=keep, most=0) == (keep, [], [])


def test_an_epoch_beyond_the_last_is_refused() -> None:
    _, (fault,), _ = resolved(keep_epochs=[1, 101])
    assert (fault.code, fault.param) == ("out_of_range", "training.keep_epochs")
    assert "101" in fault.message
