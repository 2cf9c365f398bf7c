import math

import numpy as np
import pytest

from app.engine.costs import COSTS, allowed


def test_squared_error_is_half_the_squared_distance() -> None:
    a, y = np.array([[1.0, 0.5], [2.0, 0.0]]), np.array([[0.0, 0.5], [4.0, 1.0]])
    cost = COSTS["squared_error"]["identity"]
    assert cost.examples(a, y).tolist() == [2.5, 0.5]
    assert cost.total(a, y) == 3.0


def test_softmax_cross_entropy_is_the_surprise_at_the_right_class() -> None:
    a, y = np.array([[0.7, 0.2], [0.3, 0.8]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(COSTS["cross_entropy"]["softmax"].examples(a, y), -np.log([0.7, 0.8]))


def test_sigmoid_cross_entropy_adds_up_independent_labels() -> None:
    a, y = np.array([[0.9], [0.4]]), np.array([[1.0], [0.0]])
    expected = -math.log(0.9) - math.log(0.6)
    assert COSTS["cross_entropy"]["sigmoid"].examples(a, y)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "dtype", "a", "y", "expected"),
    [
        ("softmax", np.float32, [0.0, 1.0], [1.0, 0.0], 87.3365),
        ("softmax", np.float64, [0.0, 1.0], [1.0, 0.0], 708.3964),
        ("softmax", np.float32, [0.0, 1.0], [0.0, 1.0], 0.0),
        ("sigmoid", np.float32, [0.0], [1.0], 87.3365),
        ("sigmoid", np.float32, [1.0], [0.0], 17.3287),
        ("sigmoid", np.float64, [1.0], [0.0], 37.4299),
        ("sigmoid", np.float32, [1.0], [1.0], 0.0),
    ],
)
def test_a_saturated_probability_costs_much_but_not_infinity(
    output: str, dtype: type, a: list[float], y: list[float], expected: float
) -> None:
    examples = COSTS["cross_entropy"][output].examples(np.array([a], dtype).T, np.array([y], dtype).T)
    assert examples[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", COSTS)
def test_examples_and_total_agree_in_float64_also_for_stacks_of_float32(name: str) -> None:
    draw = np.random.default_rng(1)
    a, y = draw.random((3, 4, 5)).astype(np.float32), draw.random((3, 4, 5)).astype(np.float32)
    y[y < 0.3] = 0
    for cost in COSTS[name].values():
        examples = cost.examples(a, y)
        assert examples.shape == (3, 5)
        assert examples.dtype == np.float64
        np.testing.assert_allclose(examples[1], cost.examples(a[1], y[1]), rtol=1e-14)
        assert cost.total(a, y) == pytest.approx(examples.sum(), rel=1e-14)
        flipped = np.asfortranarray(a[0]), y[0]
        assert cost.total(*flipped) == pytest.approx(examples[0].sum(), rel=1e-14)


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 5)])
def test_a_weight_counts_its_example_so_many_times(name: str, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(2)
    a, y = draw.random((3, 4, 5)).astype(np.float32), draw.random((3, 4, 5)).astype(np.float32)
    v = draw.random(shape) * draw.integers(0, 2, shape)
    for cost in COSTS[name].values():
        assert cost.total(a, y, v) == pytest.approx((v * cost.examples(a, y)).sum(), rel=1e-13)
        twice = cost.total(np.concatenate([a[0], a[0][:, :2]], 1), np.concatenate([y[0], y[0][:, :2]], 1))
        assert cost.total(a[0], y[0], np.array([2.0, 2, 1, 1, 1])) == pytest.approx(twice, rel=1e-13)
        assert cost.total(a, y, np.zeros(5)) == 0


def test_absolute_error_is_the_distance_of_each_output_and_flat_where_it_is_met() -> None:
    a, y = np.array([[1.0, 0.5], [2.0, -3.0]]), np.array([[0.0, 0.5], [4.0, -2.0]])
    cost = COSTS["absolute_error"]["identity"]
    assert cost.examples(a, y).tolist() == [3.0, 1.0]
    assert cost.total(a, y) == 4.0
    out = np.empty_like(a)
    cost.delta(a, y, out)
    assert out.tolist() == [[1.0, 0.0], [-1.0, -1.0]]


def test_huber_is_squared_up_to_one_and_absolute_from_there() -> None:
    a, y = np.array([[0.5, 1.0, -3.0, 1e20]]), np.zeros((1, 4))
    cost = COSTS["huber"]["identity"]
    assert cost.examples(a, y).tolist() == [0.125, 0.5, 2.5, 1e20]
    assert cost.total(a, y) == pytest.approx(1e20)
    assert cost.total(a[:, :3], y[:, :3]) == 3.125
    out = np.empty_like(a)
    cost.delta(a, y, out)
    assert out.tolist() == [[0.5, 1.0, -1.0, 1.0]]


@pytest.mark.parametrize("name", COSTS)
def test_an_output_that_is_not_a_number_makes_the_total_so(name: str) -> None:
    a, y = np.full((2, 3), 0.5), np.eye(2)[:, [0, 1, 1]]
    a[:, 2] = math.nan
    for cost in COSTS[name].values():
        assert math.isnan(cost.total(a, y))
        assert math.isnan(cost.total(a, y, np.ones(3)))


def test_allowed_pairs_of_cost_and_output() -> None:
    assert allowed("squared_error", "tanh")
    assert not allowed("squared_error", "softmax")
    assert allowed("absolute_error", "identity")
    assert allowed("huber", "gelu")
    assert not allowed("huber", "softmax")
    assert allowed("cross_entropy", "softmax")
    assert allowed("cross_entropy", "sigmoid")
    assert not allowed("cross_entropy", "identity")
