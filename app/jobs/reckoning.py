"""How long an epoch takes, from what there is to compute and how fast this machine multiplies."""

import time
from functools import cache
from typing import Any

import numpy as np

from app.engine.network import Architecture
from app.engine.optimizers import SPAN
from app.jobs.memory import Load

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


def seconds(network: Architecture, rows: Load, training: dict[str, Any], multiply_adds: int) -> float:
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
