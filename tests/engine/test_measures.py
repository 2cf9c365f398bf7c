import numpy as np
import pytest

from app.engine.measures import Measure
from app.engine.memory import Array


def measured(name: str, a: Array, y: Array) -> float:
    measure = Measure(name, y)
    half = len(a) // 2
    parts = [measure.sums(a[cut].T, y[cut].T) for cut in (slice(half), slice(half, None))]
    return measure.value(parts[0] + parts[1])


def test_accuracy_of_classes_is_the_greatest_output() -> None:
    a = np.array([[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])
    assert measured("accuracy", a, np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])) == pytest.approx(2 / 3)


def test_accuracy_of_one_output_is_its_side_of_a_half() -> None:
    a = np.array([[0.2], [0.9], [0.6], [0.4]])
    assert measured("accuracy", a, np.array([[0.0], [1.0], [0.0], [0.0]])) == 0.75


def test_r2_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    y = np.random.default_rng(0).standard_normal((10, 2))
    assert measured("r2", y, y) == 1.0
    assert measured("r2", np.broadcast_to(y.mean(axis=0), y.shape), y) == pytest.approx(0.0)


def test_r2_of_a_constant_target_is_all_or_nothing() -> None:
    y = np.full((4, 1), 3.0)
    assert measured("r2", y, y) == 1.0
    assert measured("r2", y + 0.1, y) == 0.0


def test_stacked_pieces_count_like_flat_ones() -> None:
    draw = np.random.default_rng(0)
    a, y = draw.random((3, 2, 5)), draw.random((3, 2, 5))
    for name in ("accuracy", "r2"):
        measure = Measure(name, y.transpose(0, 2, 1).reshape(15, 2))
        apart = sum((measure.sums(a[i], y[i]) for i in range(3)), start=np.zeros(1))
        np.testing.assert_allclose(measure.sums(a, y), apart)
