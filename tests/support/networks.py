"""A small network, and data that it can learn, for tests of training."""

import dataclasses
from typing import Any

import numpy as np

from app import engine

ARCHITECTURE = engine.Architecture(3, (engine.Layer(8, "tanh"), engine.Layer(2, "identity")))
M = 40


def plan_of(**changes: Any) -> engine.Plan:
    """Full batch, three epochs, float64."""
    plan = engine.Plan(
        ARCHITECTURE, "squared_error", engine.GradientDescent(0.1), M, 3, lambda_=0.01, dtype="float64"
    )
    return dataclasses.replace(plan, **changes)


def data_of(scale: float = 1.0, **others: Any) -> engine.Data:
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((M, 3)), draw.standard_normal((M, 2))
    return engine.Data(x, scale * y, **others)


def run(
    plan: engine.Plan, data: engine.Data, snapshot: engine.Snapshot | None = None, threads: int = 1
) -> tuple[list[engine.Epoch], engine.Finished]:
    """The rows, and the end."""
    *rows, finished = engine.train(snapshot or engine.Snapshot.start(plan), data, plan, threads)
    assert isinstance(finished, engine.Finished)
    return [row for row in rows if isinstance(row, engine.Epoch)], finished


def costs(rows: list[engine.Epoch]) -> list[float]:
    assert all(row.cost is not None for row in rows)
    return [row.cost for row in rows if row.cost is not None]
