"""Small tables to learn on: the same kind, rows, noise and seed are the same table everywhere."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.datasets.source import Source
from app.errors import Fault, InvalidDataset

Floats = NDArray[np.float64]
Random = np.random.Generator

ROWS_LIMIT = 1_000_000
NOISE_LIMIT = 1e6
DEFAULTS = {"rows": 200, "noise": 0.1, "seed": 0}
CLASSES = np.array(["blue", "orange", "green"])


def open_source(asked: object) -> Source:
    """`{"kind":"xor","rows":200,"noise":0.1,"seed":0}` -> x1 and x2 with a label, or x with y.

    ``noise`` is the standard deviation of what is added: to the coordinates, or to y.
    """
    kind, rows, noise, seed = _checked(asked)
    random = np.random.Generator(np.random.PCG64(seed))
    return Source(lambda: iter([KINDS[kind](rows, noise, random)]), spelled=False)


def _checked(asked: object) -> tuple[str, int, float, int]:
    if not isinstance(asked, Mapping):
        raise _refused("generate", "wrong_type", 'Expected an object with a "kind".')
    for name in asked:
        if name not in ("kind", *DEFAULTS):
            raise _refused(f"generate.{name}"[:255], "unknown_field", "There is no such field.")
    kind = asked.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _refused("generate.kind", "not_allowed", f"Expected one of {', '.join(KINDS)}.")
    values: dict[str, Any] = {**DEFAULTS, **asked}
    for name, least, most in (("rows", 2, ROWS_LIMIT), ("noise", 0, NOISE_LIMIT), ("seed", 0, 2**53)):
        value = values[name]
        allowed = (int, float) if name == "noise" else (int,)
        if type(value) not in allowed:
            kind_of = "a number" if name == "noise" else "an integer"
            raise _refused(f"generate.{name}", "wrong_type", f"Expected {kind_of}.")
        if not least <= value <= most:  # neither is NaN
            raise _refused(f"generate.{name}", "out_of_range", f"Expected {least} to {most:g}.")
    return kind, values["rows"], float(values["noise"]), values["seed"]


def _labelled(points: Floats, classes: NDArray[np.integer], noise: float, random: Random) -> pl.DataFrame:
    points = points + noise * random.normal(size=points.shape)
    order = random.permutation(len(points))
    labels = CLASSES[classes[order]].tolist()
    return pl.DataFrame({"x1": points[order, 0], "x2": points[order, 1], "label": labels})


def _xor(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """Both coordinates positive or both negative, or one of each."""
    signs = np.array([(1, 1), (-1, -1), (1, -1), (-1, 1)])[np.arange(rows) % 4]
    points = signs * random.uniform(0.2, 1.0, size=(rows, 2))
    return _labelled(points, (signs[:, 0] * signs[:, 1] < 0).astype(np.int64), noise, random)


def _circles(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """One circle in another."""
    outer = np.arange(rows) % 2
    angles = random.uniform(0, math.tau, rows)
    radius = np.where(outer, 1.0, 0.5)
    points = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    return _labelled(points, outer, noise, random)


def _moons(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """Two half circles that reach into each other."""
    lower = np.arange(rows) % 2
    angles = random.uniform(0, math.pi, rows)
    x = np.where(lower, 1 - np.cos(angles), np.cos(angles))
    y = np.where(lower, 0.5 - np.sin(angles), np.sin(angles))
    return _labelled(np.column_stack([x, y]), lower, noise, random)


def _spiral(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """Two arms that wind around each other."""
    arm = np.arange(rows) % 2
    turn = np.sqrt(random.uniform(0.02, 1.0, rows)) * 1.5 * math.tau
    radius = turn / (1.5 * math.tau)
    angles = turn + arm * math.pi
    points = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    return _labelled(points, arm, noise / 4, random)


def _blobs(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """Three heaps."""
    heap = np.arange(rows) % 3
    angles = heap * math.tau / 3
    centres = np.column_stack([np.cos(angles), np.sin(angles)])
    return _labelled(centres + 0.2 * random.normal(size=(rows, 2)), heap, noise, random)


def _linear(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """y = 2 x + 1."""
    x = random.uniform(-1, 1, rows)
    return pl.DataFrame({"x": x, "y": 2 * x + 1 + noise * random.normal(size=rows)})


def _sine(rows: int, noise: float, random: Random) -> pl.DataFrame:
    """y = sin x over two periods."""
    x = random.uniform(-math.tau, math.tau, rows)
    return pl.DataFrame({"x": x, "y": np.sin(x) + noise * random.normal(size=rows)})


KINDS: dict[str, Callable[[int, float, Random], pl.DataFrame]] = {
    "xor": _xor,
    "circles": _circles,
    "moons": _moons,
    "spiral": _spiral,
    "blobs": _blobs,
    "linear": _linear,
    "sine": _sine,
}


def _refused(param: str, code: str, message: str) -> InvalidDataset:
    return InvalidDataset(None, Fault(param, code, message))
