"""The engine against a loop written by hand for one network: what do its generality and its records cost?

Both do the same arithmetic: tanh layers, cost 1/(2m) Σ ‖a − y‖² + λ/2 Σ W², gradient descent on shuffled
minibatches, float32, the cost of every epoch recorded. The loop knows its layers, sees nothing else and
cannot be stopped; every trick that helped it is in it. The two run in turns; prints JSON lines.

    python bench/hand_tuned.py
    python bench/hand_tuned.py --workload wide --repeats 3
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402 - the number of threads is read when it loads

from app import engine  # noqa: E402

ALPHA, LAMBDA = 0.1, 1e-4

#        name            examples  layer sizes               batch   epochs
WORKLOADS = {
    "iris_full_batch": (150, [4, 8, 3], 150, 2000),
    "digits": (1797, [64, 64, 10], 32, 10),
    "tabular": (20_000, [50, 100, 50, 1], 128, 3),
    "mnist": (60_000, [784, 128, 10], 128, 1),
    "mnist_deep": (60_000, [784, 256, 128, 10], 128, 1),
    "tabular_full_batch": (100_000, [50, 100, 1], 100_000, 5),
    "wide": (4096, [1024, 2048, 2048, 10], 512, 3),
}
DEFAULT = ["iris_full_batch", "digits", "tabular"]
BLOCK = 1024


def engine_run(x: engine.Array, y: engine.Array, sizes: list[int], batch: int, epochs: int) -> list[float]:
    layers = tuple(engine.Layer(units, "tanh") for units in sizes[1:])
    plan = engine.Plan(
        architecture=engine.Architecture(sizes[0], layers),
        cost="squared_error",
        optimizer=engine.GradientDescent(ALPHA),
        batch_size=batch,
        epochs=epochs
        + 1,  # never reached: after its last epoch the engine evaluates the end, which no loop does
        lambda_=LAMBDA,
    )
    reports = engine.train(engine.Snapshot.start(plan), engine.Data(x, y), plan)
    rows = (row for row in reports if isinstance(row, engine.Epoch))
    return [row.cost or 0.0 for row in islice(rows, epochs)]


def hand_tuned_run(
    x: engine.Array, y: engine.Array, sizes: list[int], batch: int, epochs: int
) -> list[float]:
    layers = tuple(engine.Layer(units, "tanh") for units in sizes[1:])
    start = engine.initialise(engine.Architecture(sizes[0], layers), 0, "float32")
    count, last, m = len(sizes) - 1, len(sizes) - 1, len(x)
    rows = batch if batch <= 4096 else BLOCK
    theta = np.zeros(sum(o * (i + 1) for i, o in pairwise(sizes)), np.float32)
    total = theta.size - sum(sizes[1:])
    slope, part = np.zeros_like(theta), np.zeros_like(theta)

    def cut(flat: engine.Array) -> tuple[list[engine.Array], list[engine.Array]]:
        W, b, w_at, b_at = [], [], 0, total
        for i, o in pairwise(sizes):
            W.append(flat[w_at : w_at + o * i].reshape(o, i))
            b.append(flat[b_at : b_at + o].reshape(o, 1))
            w_at, b_at = w_at + o * i, b_at + o
        return W, b

    W, b = cut(theta)
    for l, (weights, _) in enumerate(start.pairs()):
        W[l][...] = weights
    T = [w.T for w in W]
    weights = theta[:total]
    dot, multiply, subtract, add, tanh = np.dot, np.multiply, np.subtract, np.add, np.tanh
    one, shrink = np.ones((), np.float32), np.full((), 1 - ALPHA * LAMBDA, np.float32)
    step_size = np.full((), ALPHA / batch, np.float32)
    x_rows, y_rows, answers = np.empty_like(x), np.empty_like(y), np.empty_like(y)
    costs = []

    def room(size: int) -> tuple[list[engine.Array], list[engine.Array], list[engine.Array], engine.Array]:
        a = [np.empty((s, size), np.float32) for s in sizes]
        return a, [np.empty_like(v) for v in a], [np.empty_like(v) for v in a], np.ones((size, 1), np.float32)

    rooms = {size: room(size) for size in {rows, m % rows or rows}}

    def block(first: int, size: int, into: tuple[list[engine.Array], list[engine.Array]]) -> None:
        a, delta, scratch, ones = rooms[size]
        gW, gb = into
        a[0] = x_rows[first : first + size].T
        for l in range(count):
            dot(W[l], a[l], a[l + 1])
            add(a[l + 1], b[l], a[l + 1])
            tanh(a[l + 1], a[l + 1])
        answers[first : first + size].T[...] = a[last]
        subtract(a[last], y_rows[first : first + size].T, delta[last])
        multiply(delta[last], step_size, delta[last])
        for l in range(last, 0, -1):
            multiply(a[l], a[l], scratch[l])
            subtract(one, scratch[l], scratch[l])
            multiply(delta[l], scratch[l], delta[l])
            dot(delta[l], a[l - 1].T, gW[l - 1])
            dot(delta[l], ones, gb[l - 1])
            if l > 1:
                dot(T[l - 1], delta[l], delta[l - 1])

    whole, piece = cut(slope), cut(part)
    shuffle = np.random.default_rng(0)
    if batch >= m:
        x_rows, y_rows = x, y
    for _ in range(epochs):
        if batch < m:
            order = shuffle.permutation(m)
            np.take(x, order, 0, x_rows, "clip")
            np.take(y, order, 0, y_rows, "clip")
        decay = 0.0
        for start_row in range(0, m, batch):
            for first in range(start_row, start_row + batch, rows):
                block(first, min(rows, start_row + batch - first), whole if first == start_row else piece)
                if first != start_row:
                    add(slope, part, slope)
            decay += float(np.dot(weights, weights))
            multiply(weights, shrink, weights)
            subtract(theta, slope, theta)
        error = np.subtract(answers, y_rows).ravel().astype(np.float64)
        costs.append(0.5 * float(np.dot(error, error)) / m + 0.5 * LAMBDA * decay * batch / m)
    return costs


def seconds(run: Callable[..., list[float]], *workload: object) -> float:
    start = perf_counter()
    run(*workload)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, action="append")
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    for name in asked.workload or DEFAULT:
        examples, sizes, batch, epochs = WORKLOADS[name]
        m = examples - examples % batch
        draw = np.random.default_rng(0)
        x = draw.standard_normal((m, sizes[0])).astype(np.float32)
        y = draw.random((m, sizes[-1])).astype(np.float32)
        workload = (x, y, sizes, batch, epochs)
        steps = m // batch * epochs
        pairs = [
            (seconds(engine_run, *workload), seconds(hand_tuned_run, *workload)) for _ in range(asked.repeats)
        ]
        ours, theirs = (statistics.median(column) / steps * 1e6 for column in zip(*pairs, strict=True))
        row = {
            "workload": name,
            "engine_us_per_step": round(ours, 1),
            "hand_tuned_us_per_step": round(theirs, 1),
            "ratio": round(statistics.median(a / b for a, b in pairs), 3),
            "repeats": asked.repeats,
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
