"""BLAS's own product, and the update that uses it, against their plain forms."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app import engine
from app.engine import blas, leaves, update
from app.engine.memory import Array

pytestmark = pytest.mark.skipif(not blas.has_general_product(), reason="NumPy has another BLAS here")


def matrix(rows: int, columns: int, order: str, dtype: str) -> Array:
    drawn = np.random.default_rng([rows, columns]).standard_normal((rows, columns)).astype(dtype)
    wide: Array = np.zeros((rows + 2, columns + 3), dtype, order=order)  # type: ignore[call-overload]
    wide[1 : rows + 1, 2 : columns + 2] = drawn
    return wide[1 : rows + 1, 2 : columns + 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order_A", "CF")
@pytest.mark.parametrize("order_B", "CF")
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 4, 2), (6, 1, 1), (33, 65, 17)])
def test_it_is_right_also_for_parts_of_arrays(
    shape: tuple[int, int, int], order_A: str, order_B: str, dtype: str
) -> None:
    m, n, k = shape
    A, B, C = matrix(m, k, order_A, dtype), matrix(k, n, order_B, dtype), matrix(m, n, "C", dtype)
    expected = -0.3 * (A.astype("float64") @ B) + 0.9 * C
    around: Any = C.base
    outside = around.sum() - C.sum()
    blas.general_product(C, A, B)(-0.3, 0.9)
    np.testing.assert_allclose(C, expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)
    assert around.sum() - C.sum() == pytest.approx(outside, abs=1e-4)


def run(**changes: Any) -> engine.Finished:
    layers = (engine.Layer(24, "tanh"), engine.Layer(16, "relu"), engine.Layer(3, "softmax"))
    plan = engine.Plan(
        engine.Architecture(5, layers),
        "cross_entropy",
        engine.GradientDescent(0.2),
        batch_size=8,
        epochs=6,
        lambda_=0.01,
        dtype="float64",
        schedule=engine.Exponential(0.9),
    )
    plan = dataclasses.replace(plan, **changes)
    draw = np.random.default_rng(0)
    data = engine.Data(draw.standard_normal((44, 5)), np.eye(3)[draw.integers(0, 3, 44)])
    *_, finished = engine.train(engine.Snapshot.start(plan), data, plan)
    assert isinstance(finished, engine.Finished)
    return finished


@pytest.mark.parametrize("leaf_count", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lambda_", [0.0, 0.01])
def test_the_direct_update_is_the_plain_one_but_for_rounding(
    lambda_: float, dtype: str, leaf_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "LAYER_WORK", 0)
    plain = run(dtype=dtype, lambda_=lambda_, leaves=leaf_count)
    used: list[Array] = []

    def product(C: Array, A: Array, B: Array) -> Callable[[float, float], None]:
        used.append(C)
        return blas.general_product(C, A, B)

    monkeypatch.setattr(update, "general_product", product)
    for module in (leaves, update):
        monkeypatch.setattr(module, "LARGE_ITEMS", 100)
    direct = run(dtype=dtype, lambda_=lambda_, leaves=leaf_count)
    assert used
    bound = 1e-5 if dtype == "float32" else 1e-13  # relative to parameters of about 1
    np.testing.assert_allclose(direct.parameters.flat, plain.parameters.flat, rtol=0, atol=bound)
    assert direct.cost == pytest.approx(plain.cost, rel=bound)


@pytest.mark.parametrize(
    "changes", [{"optimizer": engine.Momentum(0.1)}, {"clip_norm": 0.5}, {"optimizer": engine.Adam()}]
)
def test_who_needs_the_gradient_has_it(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(**changes)
    for module in (leaves, update):
        monkeypatch.setattr(module, "LARGE_ITEMS", 100)
    np.testing.assert_allclose(run(**changes).parameters.flat, plain.parameters.flat, rtol=0, atol=1e-13)
