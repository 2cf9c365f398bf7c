"""The measures, against scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from app.datasets.encoding import Encoding, Target
from app.engine import Architecture, Layer
from app.models import evaluation


def classes(count: int) -> Encoding:
    names = tuple("abcdefgh"[:count])
    return Encoding("classification", (), (Target("y"),), names, ())


def outputs(rows: int, count: int, *, ties: bool = False) -> Any:
    draw = np.random.default_rng(rows)
    raw = np.exp(draw.standard_normal((rows, count)))
    shares = raw / raw.sum(axis=1, keepdims=True)
    if not ties:
        return shares
    coarse = np.maximum(np.round(shares, 1), 0.1)
    return coarse / coarse.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_classification_equals_scikit_learn(count: int, ties: bool) -> None:
    rows = 200
    truth = np.random.default_rng(1).integers(0, count, rows)
    answers = outputs(rows, count, ties=ties)
    chosen = answers.argmax(axis=1)
    found = evaluation.full(classes(count), answers, np.eye(count)[truth])
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, answers))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, chosen, average="macro"))
    shares = evaluation.probabilities(answers)  # as it ranks them: scaling can part what was tied
    area = shares[:, 1] if count == 2 else shares
    expected = metrics.roc_auc_score(truth, area, multi_class="ovr")
    assert found["roc_auc"] == pytest.approx(expected)
    matrix = metrics.confusion_matrix(truth, chosen).tolist()
    assert found["confusion_matrix"]["counts"] == matrix
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, chosen, zero_division=0)
    for index, each in enumerate(found["classes"]):
        assert each["class"] == "abcdefgh"[index]
        numbers = [each[name] for name in ("precision", "recall", "f1", "support")]
        assert numbers == pytest.approx([precision[index], recall[index], f1[index], support[index]])


def test_a_class_that_is_absent_is_not_averaged() -> None:
    count = 3
    truth = np.array([0, 0, 1, 1, 0])
    answers = outputs(5, count)
    answers[:, 2] = 0.0
    found = evaluation.full(classes(count), answers, np.eye(count)[truth])
    expected = metrics.f1_score(truth, answers.argmax(axis=1), average="macro", labels=[0, 1])
    assert found["macro_f1"] == pytest.approx(expected)
    assert found["roc_auc"] is None  # one class against the rest has no rest


def test_a_sure_and_wrong_answer_costs_a_finite_log_loss() -> None:
    found = evaluation.summary(classes(2), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert found is not None
    assert found["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))


@pytest.mark.parametrize("targets", [1, 3])
def test_regression_equals_scikit_learn_in_raw_units(targets: int) -> None:
    draw = np.random.default_rng(2)
    scaled_truth, scaled_answers = draw.standard_normal((2, 50, targets))
    units = tuple(Target(f"y{i}", 10.0 * i, 2.0 + i) for i in range(targets))
    encoding = Encoding("regression", (), units, None, ())
    found = evaluation.full(encoding, scaled_answers, scaled_truth)
    truth, answers = encoding.unscale(scaled_truth), encoding.unscale(scaled_answers)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, answers))
    assert found["rmse"] == pytest.approx(np.sqrt(metrics.mean_squared_error(truth, answers)))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, answers))


def test_a_constant_target_has_no_r2() -> None:
    encoding = Encoding("regression", (), (Target("y"),), None, ())
    found = evaluation.summary(encoding, np.array([[1.0], [2.0]]), np.array([[1.0], [1.0]]))
    assert found is not None
    assert found["r2"] is None
    assert found["mae"] == 0.5


def test_no_rows_have_no_measures() -> None:
    assert evaluation.summary(classes(2), np.empty((0, 2)), np.empty((0, 2))) is None


@pytest.mark.parametrize(
    ("outputs_", "shares"),
    [([0.2, 0.6], [0.25, 0.75]), ([0.0, 0.0], [0.5, 0.5]), ([-1.0, 2.0], [0.0, 1.0])],
)
def test_probabilities_add_up_to_one(outputs_: list[float], shares: list[float]) -> None:
    assert evaluation.probabilities(np.array([outputs_]))[0].tolist() == pytest.approx(shares)


@pytest.mark.parametrize("cost", ["squared_error", "absolute_error", "huber"])
def test_a_weighted_cost_is_that_of_rows_repeated(cost: str) -> None:
    network = Architecture(1, (Layer(2, "identity"),))
    draw = np.random.default_rng(0)
    h, y = draw.standard_normal((5, 2)), draw.standard_normal((5, 2))
    times = np.array([1, 0, 3, 2, 1])
    weighted = evaluation.mean_cost(network, cost, h, y, times.astype(float))
    repeated = evaluation.mean_cost(network, cost, np.repeat(h, times, 0), np.repeat(y, times, 0))
    assert weighted == pytest.approx(repeated, rel=1e-14)
    assert weighted != evaluation.mean_cost(network, cost, h, y)
