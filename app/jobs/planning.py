"""What a job would do and take, without a job: reckoned from what it resolves to, and roughly timed."""

import time
from functools import cache
from typing import Any

import numpy as np

from app.architectures.network import to_engine
from app.engine.network import Architecture
from app.engine.optimizers import SPAN
from app.jobs import charges, starts, submission
from app.jobs.memory import Load
from app.jobs.schemas import JobCreate
from app.keys.service import Principal
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.database import Database

PRODUCT_SIZE, PRODUCTS = 192, 5
CALL_SECONDS = 0.8e-6
"""A call of NumPy on arrays that are next to nothing."""

ITEM_SECONDS = 0.4e-9
"""What an elementwise line takes for each of its numbers."""

ACTIVATION_LINES = 10
PARAMETER_LINES = {"gradient_descent": 1, "momentum": 4, "nesterov": 6, "rmsprop": 9, "adam": 12, "adamw": 13}
"""How many such lines a step has."""

PRODUCTS_SHARE = 0.7
"""Products of a network's shapes run at so much of the rate of square ones."""

CALLS_PER_LAYER = 14
CORES_GAIN = 0.8


def plan(
    database: Database, blobs: Blobs, settings: Settings, principal: Principal, asked: JobCreate
) -> dict[str, Any]:
    """The plan as clients see it. Raises what `submission.create` would, and writes nothing."""
    with database.reading() as session:
        resolved = submission.resolved_of(session, database, blobs, settings, principal, asked)
    if asked.initial_parameters is not None:
        starts.checked(asked.initial_parameters, resolved)
    network, training = to_engine(resolved.architecture), resolved.training
    epoch = charges.multiply_adds(network, resolved.rows)
    epochs, budget = training["epochs"], training["time_budget_seconds"]
    each = _seconds(network, resolved.rows, training, epoch)
    seconds = each * epochs if budget is None else min(each * epochs, budget)
    return {
        "task": resolved.task,
        "target": resolved.target[0] if len(resolved.target) == 1 else resolved.target,
        "features": resolved.features,
        "architecture": resolved.architecture,
        "training": training,
        "initial_model_id": resolved.initial_model_id,
        "rows": {name: getattr(resolved.rows, name) for name in ("train", "validation", "test")},
        "parameters": network.parameter_count,
        "multiply_adds": {"epoch": epoch, "total": epoch * epochs},
        "memory": {**resolved.need.to_json(), "allowed": settings.memory_of_a_job},
        "estimated_seconds": {"epoch": each, "total": seconds},
        "warnings": resolved.warnings,
    }


def _seconds(network: Architecture, rows: Load, training: dict[str, Any], multiply_adds: int) -> float:
    """Of an epoch on a core like this one: products at the measured rate, and what is beside them."""
    size = training["batch_size"]
    batch = rows.train if size == "full" else min(size, rows.train)
    steps = -(-rows.train // batch)
    units, count = sum(network.s.values()), network.parameter_count
    optimizer = training["optimizer"]
    lines = PARAMETER_LINES.get(optimizer["name"]) or 4 * optimizer["memory"]
    calls = steps * (CALLS_PER_LAYER * (network.n - 1) + lines * (1 + count // SPAN))
    items = ACTIVATION_LINES * units * (rows.train + rows.validation) + lines * count * steps
    item_seconds = ITEM_SECONDS * (2 if training["dtype"] == "float64" else 1)
    products = multiply_adds / (PRODUCTS_SHARE * _rate(training["dtype"]))
    cores = 1 + CORES_GAIN * (min(training["threads"], training["leaves"]) - 1)
    return float(calls * CALL_SECONDS + (items * item_seconds + products) / cores)


@cache
def _rate(dtype: str) -> float:
    """Multiply-adds in a second of this machine, in products of a middling size: measured once."""
    square = np.ones((PRODUCT_SIZE, PRODUCT_SIZE), dtype)
    best = min(_timed(square) for _ in range(PRODUCTS))
    return float(PRODUCT_SIZE**3 / best)


def _timed(square: Any) -> float:
    start = time.perf_counter()
    np.dot(square, square)
    return max(time.perf_counter() - start, 1e-9)
