"""Would it pay to gather concurrent one-row predictions into one forward pass? Microseconds a row.

python -m bench.gathering
"""

import time

import numpy as np

from app.engine import Architecture, Layer, Parameters, predict
from bench.service import show

NETWORKS = {
    "4-8-3": (4, 8, 3),
    "64-64-10": (64, 64, 10),
    "784-128-10": (784, 128, 10),
    "1024-2048-2048-10": (1024, 2048, 2048, 10),
}
ROWS = (1, 4, 16)
"""At once; each row's share is told."""

SECONDS = 0.5


def microseconds(sizes: tuple[int, ...], rows: int) -> float:
    """Of one row, where so many are answered at once: the least of many tries."""
    draw = np.random.default_rng(0)
    layers = [Layer(units, "tanh") for units in sizes[1:-1]] + [Layer(sizes[-1], "softmax")]
    architecture = Architecture(sizes[0], tuple(layers))
    parameters = Parameters(architecture, "float32")
    parameters.flat[:] = draw.normal(0.0, 0.05, len(parameters.flat))
    x = draw.normal(size=(rows, sizes[0])).astype("float32")
    least, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        predict(architecture, parameters, x)
        least = min(least, time.perf_counter() - start)
    return 1e6 * least / rows


def main() -> None:
    for name, sizes in NETWORKS.items():
        show(f"forward_{name}", **{f"of_{rows}": microseconds(sizes, rows) for rows in ROWS})


if __name__ == "__main__":
    main()
