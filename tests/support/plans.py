"""Plans and data at random, absurd ones among them, and the engine cut so small that they meet every path."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine import descent, leaves, update
from app.engine.memory import Array

Draw = np.random.Generator

HIDDEN = [name for name in engine.ACTIVATIONS if name != "softmax"]
PAIRS = [(cost, output) for cost, outputs in engine.COSTS.items() for output in outputs]


@contextmanager
def cut_small(draw: Draw) -> Iterator[None]:
    """Leaves of a few neurons, pieces and blocks of a few examples, spans of a few parameters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "LAYER_WORK", 0)
        patch.setattr(leaves, "GRAIN", 8)  # it may not be less
        patch.setattr(leaves.cut, "__defaults__", (8,))
        patch.setattr(leaves, "PIECE_ROWS", int(draw.choice([3, 14, 4096])))
        patch.setattr(leaves, "BLOCK_ROWS", int(draw.choice([1, 5])))
        patch.setattr(descent, "BURST_EPOCHS", 4)
        patch.setattr(update, "SPAN", int(draw.choice([7, 16384])))
        yield


def drawn(draw: Draw, *, sane: bool = False, **changes: Any) -> tuple[engine.Plan, engine.Data]:
    """A plan of a few epochs and data for it; all of it possible, though no run needs to make sense.

    ``sane``: with numbers among which few runs diverge.
    """
    cost, output = PAIRS[draw.integers(len(PAIRS))]
    hidden = [
        engine.Layer(_units(draw), str(draw.choice(HIDDEN)), dropout=_dropout(draw))
        for _ in range(draw.integers(0, 4))
    ]
    inputs, outputs, m = int(draw.integers(1, 7)), int(draw.integers(1, 5)), int(draw.integers(1, 41))
    optimizer = changes.pop("optimizer", None) or _optimizer(draw, sane)
    full = isinstance(optimizer, engine.LBFGS) or draw.random() < 0.3
    if isinstance(optimizer, engine.LBFGS):
        hidden = [engine.Layer(layer.units, layer.activation) for layer in hidden]
    network = engine.Architecture(inputs, (*hidden, engine.Layer(outputs, output)))
    validated, weighed = draw.random() < 0.4, draw.random() < 0.4
    x, y, weights = _examples(draw, m, network, cost, sane)
    data = engine.Data(x, y, weights=weights if weighed else None)
    if validated:
        x, y, weights = _examples(draw, int(draw.integers(1, 20)), network, cost, sane)
        data = engine.Data(data.x, data.y, x, y, data.weights, weights if weighed else None)
    clips = draw.random() < 0.3 and not isinstance(optimizer, engine.LBFGS)
    options: dict[str, Any] = {
        "batch_size": m if full else int(draw.integers(1, 2 * m + 1)),
        "epochs": int(draw.integers(1, 12)),
        "lambda_": float(draw.choice([0.0, 0.01, 0.01 if sane else _absurd(draw)])),
        "seed": int(draw.integers(2**63)),
        "shuffle": bool(draw.random() < 0.7),
        "dtype": str(draw.choice(["float32", "float64"])),
        "early_stopping": _early_stopping(draw, validated) if draw.random() < 0.3 else None,
        "metric": (None, "accuracy", "r2")[draw.integers(3)],
        "schedule": engine.Constant() if isinstance(optimizer, engine.LBFGS) else _schedule(draw, optimizer),
        "clip_norm": (1.0 if sane else _absurd(draw)) if clips else None,
        "leaves": int(draw.choice([1, 2, 4])),
        "progress_seconds": 0.0,
    }
    return engine.Plan(network, cost, optimizer, **(options | changes)), data


def _absurd(draw: Draw) -> float:
    return float(10 ** draw.uniform(-12, 12))


def _units(draw: Draw) -> int:
    return int(draw.integers(1, 13) if draw.random() < 0.8 else draw.integers(16, 40))


def _dropout(draw: Draw) -> float:
    return float(draw.choice([0.0, 0.0, 0.3, 0.9]))


def _optimizer(draw: Draw, sane: bool) -> engine.Optimizer:
    def number(usual: float) -> float:
        return usual if sane or draw.random() < 0.5 else _absurd(draw)

    def share(usual: float) -> float:
        return usual if sane or draw.random() < 0.5 else float(draw.choice([0.0, 0.5, 1 - 1e-12]))

    match draw.integers(7):
        case 0:
            return engine.GradientDescent(number(0.1))
        case 1:
            return engine.Momentum(number(0.01), share(0.9))
        case 2:
            return engine.Nesterov(number(0.01), share(0.9))
        case 3:
            return engine.RMSprop(number(0.001), share(0.9), number(1e-7))
        case 4:
            return engine.Adam(number(0.01), share(0.9), share(0.999), number(1e-8))
        case 5:
            return engine.AdamW(number(0.01), share(0.9), share(0.999), number(1e-8), number(0.01))
    return engine.LBFGS(int(draw.integers(1, 6)), float(draw.choice([0.0, 1e-7, 0.1])))


def _schedule(draw: Draw, optimizer: Any) -> engine.Schedule:
    warm = int(draw.choice([0, 0, 2, 20]))
    match draw.integers(7):
        case 0:
            return engine.Step(int(draw.integers(1, 4)), float(draw.choice([1e-12, 0.5, 1.0])), warm)
        case 1:
            return engine.Exponential(float(draw.choice([1e-100, 0.5, 1.0])), warm)
        case 2:
            return engine.Cosine(float(draw.choice([0.0, 0.1])) * optimizer.learning_rate, warm)
        case 3:
            return engine.Plateau(float(draw.choice([1e-12, 0.5])), int(draw.integers(1, 4)), warm)
    return engine.Constant(0 if draw.random() < 0.7 else warm)


def _early_stopping(draw: Draw, validated: bool) -> engine.EarlyStopping:
    return engine.EarlyStopping(
        monitor="validation_cost" if validated and draw.random() < 0.7 else "cost",
        min_delta=float(draw.choice([0.0, 0.01, 1e12])),
        patience=int(draw.integers(1, 4)),
        restore_best_weights=bool(draw.random() < 0.5),
        start_from_epoch=int(draw.choice([0, 0, 3])),
    )


def _examples(
    draw: Draw, m: int, network: engine.Architecture, cost: str, sane: bool
) -> tuple[Array, Array, Array]:
    """x and y, some columns constant or of a scale of their own, and weights, some of them 0."""
    s_1, s_n = network.s[1], network.s[network.n]

    def columns(count: int) -> Array:
        scales = 10.0 ** draw.uniform(-30, 30, count) if not sane and draw.random() < 0.3 else np.ones(count)
        made: Array = draw.standard_normal((m, count)) * scales
        constant = draw.random(count) < 0.2
        made[:, constant] = scales[constant]
        return made

    y = columns(s_n)
    if cost == "cross_entropy":
        one_hot = np.eye(s_n)[draw.integers(0, s_n, m)]
        y = one_hot if network.layers[-1].activation == "softmax" else 1.0 * (y > 0)
    weights = draw.uniform(0, 3, m) * (draw.random(m) < draw.choice([0.1, 0.6, 1.0]))
    return columns(s_1), y, weights
