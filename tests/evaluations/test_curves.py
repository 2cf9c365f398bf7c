"""Curves and calibration, against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from app.evaluations import curves


def shares(rows: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, count, rows)
    labels[:count] = range(count)
    raw = np.exp(random.standard_normal((rows, count)) + np.eye(count)[labels])
    return raw / raw.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("rows", [7, 80, 5000])
def test_the_curve_of_two_classes_is_scikit_learns(rows: int) -> None:
    found, labels = shares(rows, 2, rows)
    (curve,) = curves.roc(("no", "yes"), found, labels) or []
    assert curve["class"] == "yes"
    points = curve["points"]
    assert len(points) <= curves.MOST_POINTS + 2
    x, y, _ = metrics.roc_curve(labels, found[:, 1], drop_intermediate=False)
    known = {(round(a, 12), round(b, 12)) for a, b in zip(x, y, strict=True)}
    told = [(each["false_positive_rate"], each["true_positive_rate"]) for each in points]
    assert {(round(a, 12), round(b, 12)) for a, b in told} <= known
    assert (told[0], told[-1]) == ((0.0, 0.0), (1.0, 1.0))
    area = np.trapezoid([b for _, b in told], [a for a, _ in told])
    assert area == pytest.approx(metrics.roc_auc_score(labels, found[:, 1]), abs=0.01)
    for each in points[1:]:
        taken = found[:, 1] >= each["threshold"]
        assert taken[labels == 1].mean() == pytest.approx(each["true_positive_rate"])
        assert taken[labels == 0].mean() == pytest.approx(each["false_positive_rate"])


def test_ties_are_one_point() -> None:
    found = np.array([[0.5, 0.5]] * 4)
    (curve,) = curves.roc(("a", "b"), found, np.array([0, 1, 0, 1])) or []
    assert [each["threshold"] for each in curve["points"]] == [None, 0.5]


def test_a_class_without_rows_has_no_curve_and_many_classes_have_none() -> None:
    found, labels = shares(50, 3, 1)
    labels[labels == 2] = 0
    assert [each["class"] for each in curves.roc(("a", "b", "c"), found, labels) or []] == ["a", "b"]
    many, labels = shares(50, curves.MOST_CLASSES + 1, 1)
    assert curves.roc(tuple(map(str, range(curves.MOST_CLASSES + 1))), many, labels) is None


def test_calibration_counts_every_row_once() -> None:
    found, labels = shares(1000, 4, 2)
    told = curves.calibration(found, labels)
    sure, right = found.max(axis=1), found.argmax(axis=1) == labels
    assert sum(each["row_count"] for each in told["points"]) == 1000
    for each in told["points"]:
        here = (sure >= each["from"]) & (sure < each["to"])
        assert each["row_count"] == here.sum()
        assert each["accuracy"] == pytest.approx(right[here].mean())
        assert each["probability"] == pytest.approx(sure[here].mean())


def test_a_perfect_model_is_calibrated() -> None:
    told = curves.calibration(np.eye(3)[[0, 1, 2]], np.array([0, 1, 2]))
    assert told == {
        "points": [{"from": 0.9, "to": 1.0, "row_count": 3, "probability": 1.0, "accuracy": 1.0}],
        "expected_error": 0.0,
    }
