"""A snapshot as bytes: the run goes on from them to the same bits, also from inside an epoch."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from app.engine import Data, Epoch, Finished, Progress, Snapshot, train
from app.jobs import snapshots
from app.storage.tables import Job
from tests.support.rows import ARCHITECTURE, TRAINING

OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "gradient_descent", "learning_rate": 0.1},
    {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9},
    {"name": "nesterov", "learning_rate": 0.01, "momentum": 0.9},
    {"name": "rmsprop", "learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7},
    {"name": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    {
        "name": "adamw",
        "learning_rate": 0.001,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "decoupled_weight_decay": 0.01,
    },
]
LBFGS = {"name": "lbfgs", "memory": 5, "tolerance": 1e-9}
SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant", "warmup_epochs": 3},
    {"name": "step", "every": 5, "factor": 0.5, "warmup_epochs": 0},
    {"name": "exponential", "factor": 0.9, "warmup_epochs": 0},
    {"name": "cosine", "final_learning_rate": 0.001, "warmup_epochs": 2},
    {"name": "plateau", "factor": 0.5, "patience": 4, "warmup_epochs": 0},
]
STOPPING = {
    "monitor": "cost",
    "min_delta": 0.0,
    "patience": 20,
    "restore_best_weights": True,
    "start_from_epoch": 0,
}


def job(**training: Any) -> Job:
    options = {**TRAINING, "epochs": 4, **training}
    return Job(architecture=ARCHITECTURE, training=options, task="regression")


def data(dtype: str) -> Data:
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((21, 2)).astype(dtype), draw.standard_normal((21, 1)).astype(dtype)
    return Data(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: str(each["name"]))
@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_a_run_goes_on_from_bytes_to_the_same_bits(dtype: str, optimizer: dict[str, Any], stop: int) -> None:
    plan = snapshots.plan_of(job(dtype=dtype, optimizer=optimizer, early_stopping=STOPPING), 21)
    plan = replace(plan, progress_seconds=0.0)  # a report after every piece
    whole = list(train(Snapshot.start(plan), data(dtype), plan))
    reports: list[Progress | Epoch] = []
    for report in train(Snapshot.start(plan), data(dtype), plan):
        assert not isinstance(report, Finished)
        reports.append(report)
        if len(reports) == stop + 1:
            content = snapshots.dump(report.snapshot(), "job_x", 1)
            break
    again = [*reports, *train(snapshots.load(plan, content), data(dtype), plan)]
    assert costs(again) == costs(whole)
    ends = [each for each in (whole[-1], again[-1]) if isinstance(each, Finished)]
    assert len(ends) == 2
    assert ends[0].parameters.sha256() == ends[1].parameters.sha256()
    assert ends[0].cost == ends[1].cost


def costs(reports: list[Any]) -> list[tuple[int, float | None]]:
    return [(each.epoch, each.cost) for each in reports if isinstance(each, Epoch)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        *(({"optimizer": each}, ("optimizer", each)) for each in [*OPTIMIZERS, LBFGS]),
        *(({"learning_rate_schedule": each}, ("schedule", each)) for each in SCHEDULES),
    ],
    ids=lambda each: str(each[1]["name"]) if isinstance(each, tuple) else None,
)
def test_the_plan_has_what_was_resolved(
    options: dict[str, Any], expected: tuple[str, dict[str, Any]]
) -> None:
    field, values = expected
    made = getattr(snapshots.plan_of(job(**options), 21), field)
    assert type(made).__name__.lower() == values["name"].replace("_", "")
    assert asdict(made) == {name: value for name, value in values.items() if name != "name"}


def test_the_plan_has_the_limits_and_the_leaves() -> None:
    options = {"gradient_clip_norm": 0.5, "time_budget_seconds": 3.0, "leaves": 4}
    plan = snapshots.plan_of(job(**options), 21)
    assert (plan.clip_norm, plan.time_budget, plan.leaves) == (0.5, 3.0, 4)
    dropping = {**ARCHITECTURE, "layers": [{**ARCHITECTURE["layers"][0], "dropout": 0.25}]}
    plan = snapshots.plan_of(Job(architecture=dropping, training=TRAINING, task="regression"), 21)
    assert [layer.dropout for layer in plan.architecture.layers] == [0.25, 0.0]


def test_no_two_claims_share_a_snapshots_bytes() -> None:
    start = Snapshot.start(snapshots.plan_of(job(), 21))
    contents = {snapshots.dump(start, name, fence) for name in ("job_a", "job_b") for fence in (1, 2)}
    assert len(contents) == 4


def test_the_parameters_alone_can_be_read() -> None:
    plan = snapshots.plan_of(job(), 21)
    start = Snapshot.start(plan)
    read = snapshots.parameters_of(plan.architecture, snapshots.dump(start, "job_a", 1))
    assert read.sha256() == start.parameters.sha256()


@pytest.mark.parametrize(("asked", "taken"), [("full", 21), (4, 4), (1000, 21)])
def test_a_batch_is_never_larger_than_the_training_rows(asked: int | str, taken: int) -> None:
    assert snapshots.plan_of(job(batch_size=asked), 21).batch_size == taken
