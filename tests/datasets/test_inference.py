import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.datasets.inference import infer
from app.datasets.table import MISSING_WORDS

Read = Callable[..., Any]
Refused = Callable[..., tuple[str, str, str]]

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def column(*cells: str, name: str = "x") -> str:
    return "\n".join([f"{name},other", *(f"{cell},{i % 2}" for i, cell in enumerate(cells))])


def test_the_missing_words_are_missing_in_any_case(read: Read) -> None:
    upload = read(column("1", "NaN", " na ", "N/A", "NULL", "None", "?", "", "2"))
    assert upload.columns["x"]["type"] == "number"
    assert upload.columns["x"]["missing"] == 7


@pytest.mark.parametrize("odd", ["1_000", "٣", "0x10", "1,5", "1d5", "--1", "-nan", "1e"])
def test_what_only_looks_like_a_number_is_none(read: Read, odd: str) -> None:
    assert read(column("1", f'"{odd}"', "2", "2")).columns["x"]["type"] == "category"


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789+-.eE_xinfaINFty ٣"), min_size=1, max_size=9))
@example("infinity")
def test_numbers_are_decimal_or_scientific_and_nothing_else(cell: str) -> None:
    stripped = cell.strip()
    if stripped.lower() in MISSING_WORDS or stripped.lower().lstrip("+-") in ("inf", "infinity"):
        return
    try:
        (found,) = infer(pl.DataFrame({"x": [cell]}), {})
    except Exception:
        assert float(stripped) in (float("inf"), float("-inf"))
        return
    assert (found.type == "number") == bool(NUMBER.fullmatch(stripped))
    if found.type == "number":
        assert found.values[0] == float(stripped)


@pytest.mark.parametrize("infinite", ["inf", "-Infinity", "1e999"])
def test_an_infinite_number_is_named_by_row_and_column(refused: Refused, infinite: str) -> None:
    code, param, message = refused(column("1", "2", infinite))
    assert (code, param, message) == (
        "infinite_number",
        "columns.x",
        "Row 3 of column 'x' holds an infinite number.",
    )


def test_booleans_are_true_and_false_only(read: Read) -> None:
    upload = read("a,b\nTrue,yes\nfalse,no\n,yes\n")
    assert upload.columns["a"]["type"] == "boolean"
    assert upload.columns["a"]["counts"] == {"false": 1, "true": 1}
    assert upload.columns["b"]["type"] == "category"


def test_many_distinct_strings_are_text_and_few_are_a_category(read: Read) -> None:
    fifty = read(column(*[f"v{i % 50}" for i in range(120)])).columns["x"]
    assert fifty["type"] == "category"
    more = read(column(*[f"v{i % 51}" for i in range(120)])).columns["x"]
    assert more["type"] == "text"
    tenth = read(column(*[f"v{i % 90}" for i in range(900)])).columns["x"]
    assert tenth["type"] == "category"
    assert read(column(*(["a"] * 5 + ["b" * 256] * 5))).columns["x"]["type"] == "text"


def test_dates_are_text_for_now(read: Read) -> None:
    upload = read(column("2024-01-31", "2024-02-01", "2024-02-01T10:00:00Z"))
    assert upload.columns["x"]["type"] == "text"
    assert upload.columns["x"]["reason"] == "dates are not used yet"
    assert "x" not in upload.table.columns


def test_categories_are_in_code_point_order_as_the_file_has_them(read: Read) -> None:
    words = ["b", "a", "B", "10", "2", "é", "\U0001f600", "\uffff", "z"]
    assert read(column(*words, "z")).columns["x"]["categories"] == sorted(words)


def test_a_correction_keeps_the_spelling_of_numbers(read: Read) -> None:
    upload = read(column("01234", "1.50", "01234"), columns={"x": {"type": "category"}})
    assert upload.columns["x"]["categories"] == ["01234", "1.50"]
    assert upload.columns["x"]["used_by_default"]


def test_digits_can_be_corrected_to_booleans(read: Read) -> None:
    upload = read(column("1", "0", "1", ""), columns={"x": {"type": "boolean"}})
    assert upload.table.columns["x"].values.tolist() == [1, 0, 1, -1]


def test_any_column_can_be_corrected_to_text(read: Read) -> None:
    upload = read(column("1", "2", "2"), columns={"x": {"type": "text"}})
    assert upload.columns["x"]["type"] == "text"
    assert not upload.columns["x"]["used_by_default"]


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "text"])
def test_a_column_without_values_can_have_any_type(read: Read, kind: str) -> None:
    upload = read(column("", "NA", "?"), columns={"x": {"type": kind}})
    assert upload.columns["x"]["type"] == kind
    assert upload.columns["x"]["reason"] == "all of its values are missing"


@pytest.mark.parametrize(
    ("correction", "code", "param"),
    [
        ({"x": {"type": "number"}}, "not_a_number", "columns.x"),
        ({"x": {"type": "boolean"}}, "not_a_boolean", "columns.x"),
        ({"othr": {"type": "number"}}, "unknown_column", "columns.othr"),
        ({"x": {"type": "int"}}, "not_allowed", "columns.x.type"),
        ({"x": {"type": ["a"]}}, "not_allowed", "columns.x.type"),
        ({"x": "number"}, "wrong_type", "columns.x"),
        ({"x": {"type": "text", "used": True}}, "wrong_type", "columns.x"),
    ],
)
def test_a_correction_that_cannot_hold_is_refused(
    refused: Refused, correction: dict[str, object], code: str, param: str
) -> None:
    found = refused(column("1", "red", "2"), columns=correction)
    assert found[:2] == (code, param)
    if code == "not_a_number":
        assert found[2] == "Row 2 of column 'x' is not a number."
    assert "red" not in found[2]


def test_too_many_categories_are_refused(refused: Refused) -> None:
    content = column(*[f"v{i}" for i in range(10_001)])
    assert refused(content, columns={"x": {"type": "category"}})[0] == "too_many_categories"
