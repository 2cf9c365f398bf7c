import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from app.datasets.encoding import Encoding, class_codes, fit
from app.datasets.features import CategoryFeature, moments
from app.datasets.layout import Layout, layouts
from app.datasets.table import BOOLEAN_CATEGORIES, Column, Table
from app.errors import Invalid

NAN = float("nan")


def table() -> Table:
    return Table(
        6,
        {
            "x": Column("x", "number", np.array([1.0, 2.0, NAN, 4.0, 100.0, -7.0])),
            "k": Column("k", "category", np.array([0, 1, -1, 1, 2, 0], np.int32), ("a", "b", "c")),
            "ok": Column("ok", "boolean", np.array([1, 1, -1, 0, 0, 0], np.int32), BOOLEAN_CATEGORIES),
            "y": Column("y", "number", np.array([10.0, 2.0, 2.0, 1.0, NAN, 10.0])),
        },
    )


TRAINING = np.array([0, 1, 2, 3])
FEATURES = ["x", "k", "ok"]


def fitted(target: str = "y", task: str = "regression", standardize: bool = True) -> Encoding:
    return fit(
        table(),
        FEATURES,
        target,
        "regression" if task == "regression" else "classification",
        TRAINING,
        standardize,
    )


def test_inputs_by_hand() -> None:
    mean, std = 7 / 3, np.std([1, 2, 4])
    x = fitted().encode_inputs(table(), np.arange(6))
    np.testing.assert_allclose(x[:, 0] * std + mean, [1, 2, mean, 4, 100, -7])
    assert x[:, 1:].tolist() == [
        [1, 0, 0, 1],
        [0, 1, 0, 1],
        [0, 1, 0, 1],  # missing: b and true are most frequent among the training rows
        [0, 1, 0, 0],
        [0, 0, 0, 0],  # no training row has c
        [1, 0, 0, 0],
    ]


def test_nothing_but_the_training_rows_is_looked_at() -> None:
    other = table()
    for column in other.columns.values():
        column.values[4:] = 0
    leaked = fit(other, FEATURES, "y", "regression", TRAINING, True)
    assert leaked == fitted()
    assert fit(other, FEATURES, "y", "regression", np.arange(6), True) != fitted()


@settings(deadline=None)
@given(codes=st.lists(st.integers(0, 4), min_size=3, max_size=40), cut=st.integers(1, 3))
def test_one_hot_is_that_of_scikit_learn(codes: list[int], cut: int) -> None:
    categories = ("a", "b", "c", "d", "e")
    data = Table(len(codes), {"k": Column("k", "category", np.array(codes, np.int32), categories)})
    train, every = np.arange(cut), np.arange(len(codes))
    peer = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    words = np.array(categories)[codes][:, None]
    expected = peer.fit(words[:cut]).transform(words)
    found = fit(data, ["k"], "k", "classification", train, True).encode_inputs(data, every)
    seen = [categories.index(word) for word in peer.categories_[0]]
    np.testing.assert_array_equal(found[:, seen], expected)
    assert not np.delete(found, seen, axis=1).any()


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_standardising_is_that_of_scikit_learn(values: list[float]) -> None:
    x = np.array(values)
    mean, std = moments(x)
    if x.min() < x.max() and x.std() > 1e-6:
        peer = StandardScaler().fit(x[:, None])
        np.testing.assert_allclose((mean, std), (peer.mean_[0], peer.scale_[0]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1] * 3, (0.1, 1.0)),
        ([NAN, NAN], (0.0, 1.0)),
        ([0.0, 0.0], (0.0, 1.0)),
        ([1e308, -1e308], (0.0, 1e308)),
        ([1e-200, -1e-200], (0.0, 1e-200)),
        ([5e-324, -5e-324], (0.0, 1.0)),
    ],
)
def test_moments_where_squares_overflow_or_vanish(values: list[float], expected: tuple[float, float]) -> None:
    assert moments(np.array(values)) == pytest.approx(expected, rel=1e-12)


def test_without_standardising_numbers_stay_and_the_missing_are_the_mean() -> None:
    x = fitted(standardize=False).encode_inputs(table(), np.arange(4))
    assert x[:, 0].tolist() == [1.0, 2.0, pytest.approx(7 / 3), 4.0]


def test_targets_of_regression_come_back_in_their_own_units() -> None:
    encoding = fitted()
    y = encoding.encode_targets(table(), TRAINING)
    assert y.shape == (4, 1)
    assert (y.mean(), y.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    assert encoding.decode_outputs(y) == pytest.approx([10.0, 2.0, 2.0, 1.0])
    assert encoding.decode_outputs(y.astype(np.float32)) == pytest.approx([10.0, 2.0, 2.0, 1.0], rel=1e-6)


def test_several_targets_are_answered_by_name() -> None:
    encoding = fit(table(), ["k"], ["x", "y"], "regression", np.array([0, 1, 3]), False)
    y = encoding.encode_targets(table(), np.array([0, 1]))
    assert encoding.output_width == 2
    assert encoding.decode_outputs(y) == [{"x": 1.0, "y": 10.0}, {"x": 2.0, "y": 2.0}]


@pytest.mark.parametrize(
    ("target", "classes", "hot"),
    [
        ("k", ("a", "b", "c"), [0, 1, None, 1, 2, 0]),
        ("ok", ("false", "true"), [1, 1, None, 0, 0, 0]),
        ("y", ("1", "10", "2"), [1, 2, 2, 0, None, 1]),
    ],
)
def test_classes_are_in_code_point_order(
    target: str, classes: tuple[str, ...], hot: list[int | None]
) -> None:
    encoding = fit(table(), ["x"], target, "classification", TRAINING, True)
    assert encoding.classes == classes
    y = encoding.encode_targets(table(), np.arange(6))
    expected = [np.full(len(classes), NAN) if i is None else np.eye(len(classes))[i] for i in hot]
    np.testing.assert_array_equal(y, expected)
    known = [i for i, place in enumerate(hot) if place is not None]
    assert encoding.decode_outputs(y[known]) == [classes[i] for i in hot if i is not None]


def test_class_codes_of_numbers() -> None:
    codes, classes = class_codes(Column("y", "number", np.array([2.0, 10.0, NAN, 2.0, -1.0])))
    assert classes == ("-1", "10", "2")
    assert codes.tolist() == [2, 1, -1, 2, 0]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_an_encoding_survives_json_to_the_last_bit(task: str) -> None:
    encoding = fitted(task=task)
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json(), allow_nan=False)))
    assert again == encoding
    assert (
        again.encode_inputs(table(), TRAINING).tobytes()
        == encoding.encode_inputs(table(), TRAINING).tobytes()
    )


def test_another_dataset_is_encoded_by_the_spelling_of_its_categories() -> None:
    other = table()
    other.columns["k"] = Column("k", "category", np.array([2, 1, 0, 0, 0, 3], np.int32), ("0", "a", "b", "d"))
    x = fitted().encode_inputs(other, np.arange(6))
    assert x[:, 1:4].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_another_dataset_must_have_the_features_in_their_types() -> None:
    other = table()
    other.columns["x"] = Column("x", "category", np.zeros(6, np.int32), ("a",))
    with pytest.raises(Invalid) as caught:
        fitted().encode_inputs(other, TRAINING)
    assert caught.value.faults[0].code == "wrong_type"
    del other.columns["x"]
    with pytest.raises(Invalid) as caught:
        fitted().encode_inputs(other, TRAINING)
    assert (caught.value.faults[0].code, caught.value.faults[0].param) == ("missing_column", "columns.x")


def test_a_feature_without_a_training_value_is_zero() -> None:
    encoding = fit(table(), ["x", "k", "ok"], "y", "regression", np.array([2]), True)
    x = encoding.encode_inputs(table(), np.array([2, 0]))
    assert x.tolist() == [[0, 0, 0, 0, 0], [1, 0, 0, 0, 1]]
    assert encoding.encode_rows([{"x": None, "k": None, "ok": None}])[0].tolist() == [[0, 0, 0, 0, 0]]


def test_widths_add_up() -> None:
    encoding = fitted()
    assert encoding.input_width == 5
    assert isinstance(encoding.features[1], CategoryFeature)
    wider = replace(encoding, features=encoding.features * 2)
    assert wider.input_width == 10


MARKED = [Layout(2, indicator=True), Layout(4, indicator=True), Layout(2, indicator=True)]


def both_ways(encoding: Encoding, data: Table, rows: list[int]) -> list[list[float]]:
    """The inputs of these rows, which are the same as columns and as named rows of JSON."""
    x = encoding.encode_inputs(data, np.array(rows))
    named = [{f.name: _plain(data.columns[f.name], row) for f in encoding.features} for row in rows]
    np.testing.assert_array_equal(encoding.encode_rows(named)[0], x)
    restored = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert restored == encoding
    np.testing.assert_array_equal(restored.encode_inputs(data, np.array(rows)), x)
    inputs: list[list[float]] = x.tolist()
    return inputs


def _plain(column: Column, row: int) -> object:
    value = column.values[row]
    if column.categories is None:
        return None if np.isnan(value) else float(value)
    if value < 0:
        return None
    return bool(value) if column.type == "boolean" else column.categories[value]


def test_what_is_missing_is_imputed_and_marked() -> None:
    encoding = fit(table(), FEATURES, "y", "regression", TRAINING, False, layouts=MARKED)
    assert both_ways(encoding, table(), [0, 2]) == [
        [1.0, 0, 1, 0, 0, 0, 1, 0],
        [7 / 3, 1, 0, 1, 0, 1, 1, 1],
    ]


def test_a_mark_that_no_training_row_had_is_never_set() -> None:
    """Its weights are untrained: they must not speak when a first value is missing."""
    encoding = fit(table(), FEATURES, "y", "regression", np.array([0, 1, 3]), False, layouts=MARKED)
    assert [feature.indicator for feature in encoding.features] == ["silent"] * 3
    assert both_ways(encoding, table(), [2]) == [[7 / 3, 0, 0, 1, 0, 0, 1, 0]]


def letters(codes: list[int]) -> Table:
    return Table(len(codes), {"k": Column("k", "category", np.array(codes, np.int32), tuple("abcde"))})


def test_rare_categories_share_an_input_with_those_never_met() -> None:
    data = letters([0, 0, 2, 2, 1, 3, 4, -1])
    rare = [Layout(4, rare=frozenset("bd"))]
    training = np.array([0, 1, 2, 4, 7])  # a, a, c, b and a missing one; d and e are in other rows only
    encoding = fit(data, ["k"], "k", "classification", training, True, layouts=rare)
    assert both_ways(encoding, data, [0, 2, 4, 5, 6, 7]) == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
    ]
    (x, warnings) = encoding.encode_rows([{"k": "z"}, {"k": "b"}])
    assert x.tolist() == [[0, 0, 0, 1]] * 2
    assert [(each.row, each.code) for each in warnings] == [(0, "unknown_category")]


def test_without_a_rare_training_row_what_is_unknown_is_all_zeros() -> None:
    data = letters([0, 0, 2, 2, 1, 3])
    rare = [Layout(4, rare=frozenset("bd"))]
    encoding = fit(data, ["k"], "k", "classification", np.arange(4), True, layouts=rare)
    assert both_ways(encoding, data, [0, 4, 5]) == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_an_encoding_of_the_first_version_is_read() -> None:
    document = json.loads(json.dumps(fitted().to_json()))
    del document["version"]
    for feature in document["features"]:
        del feature["indicator"]
        feature.pop("rare", None)
    assert Encoding.from_json(document) == fitted()
    with pytest.raises(ValueError, match="version 3"):
        Encoding.from_json(document | {"version": 3})


def test_layouts_follow_from_the_description() -> None:
    counts = {"a": 9, "b": 2, "c": 1}
    columns = [
        {"name": "x", "type": "number", "missing": 0},
        {"name": "gap", "type": "number", "missing": 3},
        {"name": "k", "type": "category", "missing": 1, "categories": list(counts), "counts": counts},
    ]
    names = ["x", "gap", "k"]
    assert layouts(columns, names, {}, 1000) == [Layout(1), Layout(1), Layout(3)]
    options = {"missing_indicators": True, "min_frequency": 3}
    both = frozenset("bc")
    assert layouts(columns, names, options, 1000) == [Layout(1), Layout(2, True), Layout(2, False, both)]
    assert layouts(columns, names, options, 12) == [
        Layout(1),
        Layout(2, True),
        Layout(4, True),
    ]  # a small table
    assert layouts(columns, ["k"], {"min_frequency": 2}, 1000) == [Layout(3)]  # one rare: nothing to pool
