from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets.encoding import Encoding, fit
from app.datasets.table import BOOLEAN_CATEGORIES, Column, Table
from app.errors import Invalid

ROW: dict[str, Any] = {"x": 2.0, "k": "a", "ok": True}


@pytest.fixture
def encoding() -> Encoding:
    table = Table(
        4,
        {
            "x": Column("x", "number", np.array([1.0, 2.0, 3.0, 6.0])),
            "k": Column("k", "category", np.array([0, 1, 1, 2], np.int32), ("a", "b", "unseen")),
            "ok": Column("ok", "boolean", np.array([1, 0, 1, 1], np.int32), BOOLEAN_CATEGORIES),
            "zip": Column("zip", "category", np.array([0, 1, 2, 0], np.int32), ("10115", "2.5", "true")),
            "y": Column("y", "number", np.array([1.0, 2.0, 3.0, 4.0])),
        },
    )
    rows = np.array([0, 1, 2])
    return fit(table, ["x", "k", "ok", "zip"], "y", "regression", rows, False, other_columns=["note"])


def encoded(encoding: Encoding, **changed: Any) -> list[float]:
    inputs, warnings = encoding.encode_rows([ROW | {"zip": "10115"} | changed])
    assert not warnings
    assert inputs.dtype == np.float64
    values: list[float] = inputs[0].tolist()
    return values


def fault(encoding: Encoding, **changed: Any) -> tuple[str, str, str, str | None]:
    with pytest.raises(Invalid) as caught:
        encoding.encode_rows([ROW | {"zip": "10115"}, ROW | {"zip": "10115"} | changed])
    (found,) = caught.value.faults
    return found.code, found.param, found.message, found.hint


def test_a_row_by_hand(encoding: Encoding) -> None:
    assert encoded(encoding) == [2, 1, 0, 0, 1, 1, 0, 0]


def test_null_is_imputed_as_in_training(encoding: Encoding) -> None:
    assert encoded(encoding, x=None, k=None, ok=None) == [2, 0, 1, 0, 1, 1, 0, 0]
    assert encoded(encoding, k=" NA ")[1:4] == [0, 1, 0]


@settings(deadline=None)
@given(
    x=st.floats(-1e9, 1e9) | st.none(),
    k=st.sampled_from(["a", "b", None]),
    ok=st.sampled_from([True, False, None]),
)
def test_rows_and_tables_are_encoded_alike(x: float | None, k: str | None, ok: bool | None) -> None:
    columns = {
        "x": Column("x", "number", np.array([1.0, 4.5, np.nan if x is None else x])),
        "k": Column(
            "k", "category", np.array([0, 1, -1 if k is None else "ab".index(k)], np.int32), ("a", "b")
        ),
        "ok": Column(
            "ok", "boolean", np.array([0, 1, -1 if ok is None else ok], np.int32), BOOLEAN_CATEGORIES
        ),
    }
    table = Table(3, columns)
    model = fit(table, ["x", "k", "ok"], "x", "regression", np.array([0, 1]), True)
    rows, _ = model.encode_rows([{"x": x, "k": k, "ok": ok}])
    assert rows.tolist() == model.encode_inputs(table, np.array([2])).tolist()


@pytest.mark.parametrize(
    ("value", "place"),
    [("10115", 0), (10115, 0), (10115.0, 0), (" 10115 ", 0), (2.5, 1), ("2.5", 1), (True, 2)],
    ids=repr,
)
def test_a_category_is_found_by_its_spelling(encoding: Encoding, value: object, place: int) -> None:
    assert encoded(encoding, zip=value)[5:] == np.eye(3)[place].tolist()


@pytest.mark.parametrize("value", ["c", "unseen", "A", 7, pytest.param(10**9000, id="huge")])
def test_an_unknown_category_is_all_zeros_and_a_warning(encoding: Encoding, value: object) -> None:
    inputs, warnings = encoding.encode_rows([ROW | {"zip": "2.5"}, ROW | {"zip": "2.5", "k": value}])
    assert inputs[1, 1:4].tolist() == [0, 0, 0]
    ((row, param, code, message),) = warnings
    assert (row, param, code) == (1, "rows[1].k", "unknown_category")
    assert message == "No training row has this category: it was encoded as unknown."


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": "2.0"}, "Expected a number or null, got a string."),
        ({"x": True}, "Expected a number or null, got a boolean."),
        ({"x": [1]}, "Expected a number or null, got a list."),
        ({"ok": 1}, "Expected true, false or null, got a number."),
        ({"ok": "maybe"}, "Expected true, false or null, got a string."),
        ({"k": {"a": 1}}, "Expected a string or null, got an object."),
        ({"k": False}, "Expected a string or null, got a boolean."),
    ],
)
def test_a_wrong_kind_is_named_and_never_repeated(
    encoding: Encoding, changed: dict[str, Any], message: str
) -> None:
    (name,) = changed
    assert fault(encoding, **changed)[:3] == ("wrong_type", f"rows[1].{name}", message)


@pytest.mark.parametrize("number", [10**400, float("inf"), float("nan")])
def test_a_number_must_fit_a_float(encoding: Encoding, number: float) -> None:
    assert fault(encoding, x=number)[:2] == ("infinite_number", "rows[1].x")


def test_an_absent_feature_is_a_fault(encoding: Encoding) -> None:
    with pytest.raises(Invalid) as caught:
        encoding.encode_rows([{"x": 1.0, "ok": True, "zip": None}])
    assert [(f.code, f.param) for f in caught.value.faults] == [("missing_column", "rows[0].k")]


def test_an_unknown_name_is_a_fault_but_other_columns_of_the_dataset_are_not(encoding: Encoding) -> None:
    assert encoded(encoding, y=3, note=[1, 2]) == encoded(encoding)
    assert fault(encoding, notes="x") == (
        "unknown_column",
        "rows[1].notes",
        "The model has no such column.",
        "Did you mean 'note'?",
    )


def test_faults_are_all_told_up_to_a_limit(encoding: Encoding) -> None:
    with pytest.raises(Invalid) as caught:
        encoding.encode_rows([{}] * 1_000)
    assert len(caught.value.faults) == 20


def test_no_rows_are_no_inputs(encoding: Encoding) -> None:
    assert encoding.encode_rows([])[0].shape == (0, 8)
