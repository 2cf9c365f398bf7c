"""What each row counts: by class, by a column, or both; and weights that cannot be."""

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from app.datasets.split import Split
from app.datasets.table import Column, Table
from app.errors import Fault
from app.jobs import weights

CLASSES = ("ash", "beech", "cedar")
CODES = np.array([0, 0, 0, 1, 1, 0, 1, -1], np.int32)
OWN = np.array([1.0, 2.0, 0.0, 4.0, 0.5, 1.0, 3.0, np.nan])
TABLE = Table(
    8,
    {
        "kind": Column("kind", "category", CODES, CLASSES),
        "own": Column("own", "number", OWN),
        "digit": Column("digit", "number", np.array([10.0, 2, 10, 2, 2, 10, 2, 2])),
    },
)
SPLIT = Split(*(np.array(rows, np.int64) for rows in ([0, 1, 2, 3], [4, 5], [6])))


def options(**asked: Any) -> dict[str, Any]:
    return {"class_weight": None, "sample_weight_column": None, **asked}


def resolved(table: Table = TABLE, split: Split = SPLIT, target: str = "kind", **asked: Any) -> Any:
    faults: list[Fault] = []
    by_class = weights.resolve(table, split, target, options(**asked), faults)
    return by_class, faults


def with_own(*values: float) -> Table:
    own = Column("own", "number", np.array([*values, *[1.0] * (8 - len(values))]))
    return Table(8, {**TABLE.columns, "own": own})


def test_nothing_weighs_anything_unless_told() -> None:
    assert weights.of_rows(TABLE, "kind", options(), SPLIT.train) is None
    assert resolved() == (None, [])


def test_a_row_counts_what_its_class_and_its_column_say() -> None:
    by_class = {"ash": 3.0, "beech": 0.5}
    asked = options(class_weight=by_class, sample_weight_column="own")
    v = weights.of_rows(TABLE, "kind", asked, SPLIT.train)
    assert v is not None
    assert v.tolist() == [3.0, 6.0, 0.0, 2.0]
    by_column = weights.of_rows(TABLE, "kind", options(sample_weight_column="own"), SPLIT.validation)
    assert by_column is not None
    assert by_column.tolist() == [0.5, 1.0]


def test_balanced_is_what_scikit_learn_makes_of_the_training_rows() -> None:
    by_class, faults = resolved(class_weight="balanced")
    y = CODES[SPLIT.train]
    theirs = compute_class_weight("balanced", classes=np.unique(y), y=y)
    assert [by_class["ash"], by_class["beech"]] == theirs.tolist()
    assert by_class["cedar"] == 1.0  # no training row is of it
    assert faults == []


def test_a_class_that_is_left_out_weighs_1() -> None:
    assert resolved(class_weight={"beech": 2.5}) == ({"ash": 1.0, "beech": 2.5, "cedar": 1.0}, [])


def test_integers_are_named_as_the_answers_name_them() -> None:
    by_class, faults = resolved(target="digit", class_weight={"10": 2.0})
    assert (by_class, faults) == ({"10": 2.0, "2": 1.0}, [])


def test_an_unknown_class_is_told_with_the_nearest() -> None:
    _, faults = resolved(class_weight={"beach": 1.0, "ash": 2.0})
    (fault,) = faults
    assert (fault.param, fault.code) == ("training.class_weight.beach", "unknown_class")
    assert "beech" in fault.hint


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ((1, np.nan), "1 have no weight and 0 a negative one"),
        ((1, 1, 1, 1, 1, 1, -1), "0 have no weight and 1 a negative one"),  # in the test rows
        ((0, 0, 0, 0), "training rows are 0"),
        ((1, 1, 1, 1, 0, 0), "validation rows are 0"),
        ((1e308, 1e308), "add up"),
    ],
)
def test_weights_that_cannot_be(own: tuple[float, ...], message: str) -> None:
    _, faults = resolved(with_own(*own), sample_weight_column="own")
    (fault,) = faults
    assert (fault.param, fault.code) == ("training.sample_weight_column", "invalid_weights")
    assert message in fault.message
    assert fault.hint


def test_classes_that_all_weigh_nothing() -> None:
    _, faults = resolved(class_weight={"ash": 0.0, "beech": 0.0})
    assert {(fault.param, fault.code) for fault in faults} == {("training.class_weight", "invalid_weights")}


def test_rows_without_a_target_need_no_weight() -> None:
    assert resolved(sample_weight_column="own") == (None, [])  # the last row has neither
