from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.datasets.split import fold, split

fractions = st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.4, 0.5])


@settings(deadline=None)
@given(
    strata=st.lists(st.integers(0, 5), min_size=1, max_size=200),
    v=fractions,
    t=fractions,
    seed=st.integers(0, 2**63 - 1),
)
def test_a_split_parts_the_candidates_by_class(strata: list[int], v: float, t: float, seed: int) -> None:
    classes = np.array(strata)
    candidates = np.arange(len(strata)) * 3 + 1
    parts = split(classes, candidates, v, t, seed)
    assert sorted(np.concatenate(parts).tolist()) == candidates.tolist()
    assert all((np.diff(part) > 0).all() for part in parts)
    assert all(part.dtype == np.int64 for part in parts)
    sizes = np.bincount(classes)
    in_parts = [np.bincount(classes[(part - 1) // 3], minlength=len(sizes)) for part in parts]
    assert (in_parts[0][sizes > 0] >= 1).all()
    if v + t <= 0.5 and sizes[sizes > 0].min() >= 10:
        assert (len(parts.validation), len(parts.test)) == (round(len(strata) * v), round(len(strata) * t))
        assert (abs(in_parts[1] - sizes * v) < 2).all()
        assert (abs(in_parts[2] - sizes * t) < 2).all()


@settings(deadline=None)
@given(m=st.integers(1, 300), v=fractions, t=fractions)
def test_without_strata_the_parts_have_the_sizes_asked_for(m: int, v: float, t: float) -> None:
    parts = split(None, np.arange(m), v, t, 0)
    assert len(parts.test) == min(round(m * t), m - 1)
    assert len(parts.validation) == min(round(m * v), m - 1 - len(parts.test))
    assert len(parts.train) == m - len(parts.test) - len(parts.validation)


def test_iris_is_split_evenly() -> None:
    parts = split(np.repeat([0, 1, 2], 50), np.arange(150), 0.2, 0.1, 7)
    assert [np.bincount(part // 50).tolist() for part in parts] == [[35] * 3, [10] * 3, [5] * 3]


def test_a_class_of_one_row_is_trained_on() -> None:
    parts = split(np.array([0] * 20 + [1]), np.arange(21), 0.4, 0.4, 3)
    assert 20 in parts.train
    assert (len(parts.validation), len(parts.test)) == (8, 8)


def test_the_seed_is_all_that_matters() -> None:
    def rows(seed: int) -> list[list[int]]:
        return [part.tolist() for part in split(None, np.arange(100), 0.2, 0.2, seed)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_every_row_is_as_likely_to_be_tested() -> None:
    counts: NDArray[np.int64] = np.zeros(20, dtype=np.int64)
    for seed in range(2_000):
        counts[split(None, np.arange(20), 0.0, 0.25, seed).test] += 1
    assert abs(counts - 500).max() < 5 * (2_000 * Fraction(1, 4) * Fraction(3, 4)) ** 0.5


@pytest.mark.parametrize("strata", [None, np.array([], dtype=np.int64)])
def test_nothing_is_split_into_nothing(strata: NDArray[np.int64] | None) -> None:
    assert [len(part) for part in split(strata, np.array([], dtype=np.int64), 0.2, 0.2, 0)] == [0, 0, 0]


@settings(deadline=None)
@given(
    strata=st.lists(st.integers(0, 3), min_size=4, max_size=120),
    count=st.integers(2, 6),
    v=st.sampled_from([0.0, 0.1, 0.25]),
    seed=st.integers(0, 2**63 - 1),
)
def test_each_row_is_held_out_by_one_fold(strata: list[int], count: int, v: float, seed: int) -> None:
    classes, candidates = np.array(strata), np.arange(len(strata)) * 2 + 5
    folds = [fold(classes, candidates, v, index, count, seed) for index in range(count)]
    assert sorted(np.concatenate([each.test for each in folds]).tolist()) == candidates.tolist()
    for each in folds:
        assert sorted(np.concatenate(each).tolist()) == candidates.tolist()
        assert abs(len(each.test) - len(strata) / count) < 1
        in_test = np.bincount(classes[(each.test - 5) // 2], minlength=4)
        assert (abs(in_test - np.bincount(classes, minlength=4) / count) < 1).all()
        if len(each.train) > 20:
            assert abs(len(each.validation) - round(len(strata) * v)) <= 1
    again = [fold(classes, candidates, v, index, count, seed) for index in range(count)]
    assert all(
        (a == b).all() for one, two in zip(folds, again, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_without_strata_the_folds_are_of_one_size() -> None:
    sizes = [len(fold(None, np.arange(103), 0.1, index, 5, 3).test) for index in range(5)]
    assert sorted(sizes) == [20, 20, 21, 21, 21]
