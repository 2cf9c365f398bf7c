import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.datasets import cells
from app.datasets.inference import infer
from app.datasets.source import Parts, Source
from app.datasets.survey import survey
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


@pytest.mark.parametrize("odd", ["1_000", "٣", "0x10", "1,5,2", "1d5", "--1", "-nan", "1e"])
def test_what_only_looks_like_a_number_is_none(read: Read, odd: str) -> None:
    assert read(column("1", f'"{odd}"', "2", "2")).columns["x"]["type"] == "category"


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789+-.eE_xinfaINFty ٣"), min_size=1, max_size=9))
@example("infinity")
def test_numbers_are_decimal_or_scientific_and_nothing_else(cell: str) -> None:
    stripped = cell.strip()
    if stripped.lower() in MISSING_WORDS or stripped.lower().lstrip("+-") in ("inf", "infinity"):
        return
    parts = Parts(Source(lambda: iter([pl.DataFrame({"x": [cell]})])), cells.spelled)
    found = survey(parts, 1)
    try:
        ((decided,), _) = infer(parts, found, {}, spelled=True)
    except Exception:
        assert float(stripped) in (float("inf"), float("-inf"))
        return
    plain = decided.type == "number" and decided.spelling is None
    assert plain == bool(NUMBER.fullmatch(stripped))
    if plain:
        assert next(iter(parts)).numbers["x"][0] == float(stripped)


@pytest.mark.parametrize("infinite", ["inf", "-Infinity", "1e999"])
def test_an_infinite_number_is_named_by_row_and_column(refused: Refused, infinite: str) -> None:
    code, param, message = refused(column("1", "2", infinite))
    assert (code, param, message) == (
        "infinite_number",
        "columns.x",
        "Row 3 of column 'x' holds an infinite number.",
    )


@pytest.mark.parametrize(
    ("cells", "categories"),
    [
        (("True", "false", ""), ["false", "true"]),
        (("TRUE",), ["false", "true"]),
        (("yes", "no", "NA"), ["no", "yes"]),
        (("Y", "N"), ["N", "Y"]),
        (("t", "f", "T"), ["f", "t"]),
        (("On", "Off"), ["Off", "On"]),
    ],
)
def test_booleans_have_their_usual_spellings(
    read: Read, cells: tuple[str, ...], categories: list[str]
) -> None:
    upload = read(column(*cells, *cells))
    assert upload.columns["x"]["type"] == "boolean"
    assert upload.columns["x"]["categories"] == categories
    assert list(upload.table.columns["x"].categories) == categories
    first = cells[0].lower() in ("true", "yes", "y", "t", "on")
    assert upload.table.columns["x"].values[0] == first


@pytest.mark.parametrize(
    "cells", [("yes", "yes"), ("f", "f"), ("yes", "n"), ("m", "f"), ("yes", "no", "maybe")]
)
def test_other_words_and_halves_of_a_pair_are_categories(read: Read, cells: tuple[str, ...]) -> None:
    assert read(column(*cells)).columns["x"]["type"] == "category"


def test_digits_are_numbers(read: Read) -> None:
    assert read(column("1", "0", "1")).columns["x"]["type"] == "number"


def test_many_distinct_strings_are_text_and_few_are_a_category(read: Read) -> None:
    fifty = read(column(*[f"v{i % 50}" for i in range(120)])).columns["x"]
    assert fifty["type"] == "category"
    more = read(column(*[f"v{i % 51}" for i in range(120)])).columns["x"]
    assert more["type"] == "text"
    tenth = read(column(*[f"v{i % 90}" for i in range(900)])).columns["x"]
    assert tenth["type"] == "category"
    assert read(column(*(["a"] * 5 + ["b" * 256] * 5))).columns["x"]["type"] == "text"


NOON = 1_706_788_800.0  # 2024-02-01T12:00Z


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (("2024-02-01T12:00:00Z", "2024-02-01"), "iso"),
        (("2024-02-01 12:00", "NA"), "iso"),
        (("2024-02-01T14:00:00.000+02:00", "2024-02-01T07:00-0500"), "iso"),
        (("01.02.2024 12:00", "31.12.2023"), "%d.%m.%Y"),
        (("2024/02/01 12:00:00", "2024/02/02 13:00:00"), "%Y/%m/%d"),
        (("01/02/2024 12:00", "31/01/2024 12:00"), "%d/%m/%Y"),
        (("2/1/2024 12:00 PM", "1/31/2024 1:00 AM"), "%m/%d/%Y"),
        (("1 Feb 2024 12:00", "31 Dec 2023 12:00"), "%d %b %Y"),
        (("February 1, 2024 12:00", "December 31, 2023 12:00"), "%B %d, %Y"),
        (("2024-02-01 12:00:00 UTC", "2024-02-01 13:00 UTC"), "iso"),
        (("01.02.24 12:00", "31.12.23"), "%d.%m.%y"),
        (("2/1/24 12:00 PM", "1/31/24"), "%m/%d/%y"),
        (("1-Feb-24 12:00", "31-Dec-23 12:00"), "%d-%b-%y"),
        (("2024.02.01 12:00", "2023.12.31"), "%Y.%m.%d"),
    ],
)
def test_dates_become_seconds_since_1970(read: Read, cells: tuple[str, ...], form: str) -> None:
    upload = read(column(*(f'"{cell}"' for cell in cells)))
    assert upload.columns["x"]["type"] == "date"
    assert upload.table.columns["x"].values[0] == NOON
    assert upload.table.columns["x"].date_format == form


@pytest.mark.parametrize(
    "cell", ["2024-02-30", "2024-1-3x", "24-01-31", "10:30", "2024-01-31T25:00", "1.2.204"]
)
def test_what_only_looks_like_a_date_is_none(read: Read, cell: str) -> None:
    assert read(column("2024-01-31", cell)).columns["x"]["type"] == "category"


def test_days_and_months_that_may_be_confused_are_asked_about(read: Read, refused: Refused) -> None:
    upload = read(column("01/02/2024", "03/04/2024"))
    assert upload.columns["x"]["type"] == "category"
    assert ("ambiguous_date", "columns.x") in upload.warnings
    assert refused(column("01/02/2024", "03/04/2024"), columns={"x": {"type": "date"}})[0] == "ambiguous_date"
    said = {"x": {"type": "date", "format": "%d/%m/%Y"}}
    upload = read(column("01/02/2024", "03/04/2024"), columns=said)
    assert upload.table.columns["x"].values[0] == NOON - 12 * 3600
    assert refused(column("31/01/2024", "01/31/2024"), columns=said)[2].startswith(
        "Row 2 of column 'x' is not"
    )


def test_numbers_can_be_corrected_to_dates(read: Read, refused: Refused) -> None:
    upload = read(column("20240201", "20240202"), columns={"x": {"type": "date"}})
    assert upload.table.columns["x"].values[0] == NOON - 12 * 3600
    code, _, message = refused(column("20240201", "20241301"), columns={"x": {"type": "date"}})
    assert (code, message) == ("not_a_date", "Row 2 of column 'x' is not a date.")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_decimal_commas_are_read_where_no_field_is_parted_by_them(read: Read, delimiter: str) -> None:
    content = "x;y\n1,5;a\n-2;b\n1.234,5e1;a\n".replace(";", delimiter)
    upload = read(content)
    assert upload.table.columns["x"].values.tolist() == [1.5, -2.0, 12345.0]
    assert ("decimal_comma", "columns.x") in upload.warnings
    text = read(content, columns={"x": {"type": "text"}})
    assert text.columns["x"]["type"] == "text"
    assert ("decimal_comma", "columns.x") not in text.warnings
    assert read('x,y\n"1,5",a\n"2,5",b\n').columns["x"]["max"] == 2.5


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


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "date", "text"])
def test_a_column_without_values_can_have_any_type(read: Read, kind: str) -> None:
    upload = read(column("", "NA", "?"), columns={"x": {"type": kind}})
    assert upload.columns["x"]["type"] == kind
    assert upload.columns["x"]["reason"] == "all of its values are missing"


@pytest.mark.parametrize(
    ("correction", "code", "param"),
    [
        ({"x": {"type": "number"}}, "not_a_number", "columns.x"),
        ({"x": {"type": "boolean"}}, "not_a_boolean", "columns.x"),
        ({"x": {"type": "date"}}, "not_a_date", "columns.x"),
        ({"x": {"type": "date", "format": "%y"}}, "not_allowed", "columns.x.format"),
        ({"x": {"type": "number", "format": "iso"}}, "not_allowed", "columns.x.format"),
        ({"othr": {"type": "number"}}, "unknown_column", "columns.othr"),
        ({"x": {"type": "int"}}, "not_allowed", "columns.x.type"),
        ({"x": {"type": ["a"]}}, "not_allowed", "columns.x.type"),
        ({"x": "number"}, "wrong_type", "columns.x"),
        ({"x": {"type": "text", "missing": "-"}}, "wrong_type", "columns.x.missing"),
        ({"x": {"type": "text", "missing": [True]}}, "wrong_type", "columns.x.missing"),
        ({"x": {"type": "text", "missing": ["-"] * 21}}, "wrong_type", "columns.x.missing"),
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
