"""Types that were nearly, or perhaps wrongly, something else; and numbers as people write them."""

from collections.abc import Callable
from typing import Any

import pytest

Read = Callable[..., Any]
Refused = Callable[..., tuple[str, str, str]]


def column(*cells: str) -> str:
    return "".join(f"{cell}\t{i % 2}\n" for i, cell in enumerate(("x", *cells)))


def code(upload: Any) -> str | None:
    return next((code for code, param in upload.warnings if param == "columns.x"), None)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1,234.5", "-2"), [1234.5, -2]),
        (("1,234,567", "2"), [1234567, 2]),
        (("1.234,50 €", "-3,00 €"), [1234.5, -3]),
        (("$1,000.50", "-$3"), [1000.5, -3]),
        (("USD 5", "USD -6"), [5, -6]),
        (("12.5%", "3 %"), [12.5, 3]),
        (("36 months", "60 months"), [36, 60]),
        (("1'234.5", "2"), [1234.5, 2]),
        (("1\u202f234,5", "0,5"), [1234.5, 0.5]),
        (("\u22125", "6"), [-5, 6]),
        (("-0 kg", "1 kg"), [0, 1]),
    ],
)
def test_numbers_are_read_as_people_write_them(
    read: Read, cells: tuple[str, str], values: list[float]
) -> None:
    upload = read(column(*cells))
    assert upload.table.columns["x"].values.tolist() == values
    assert str(upload.table.columns["x"].values[0]) != "-0.0"
    assert code(upload) in ("formatted_numbers", "decimal_comma")
    assert upload.columns["x"]["type"] == "number"
    assert code(read(column(*cells), columns={"x": {"type": "category"}})) != code(upload)
    assert code(read(column(*cells), columns={"x": {"type": "number"}})) is None


@pytest.mark.parametrize(
    "cells",
    [
        ("5 €", "5 $"),
        ("5 %", "0.05"),
        ("1,23.4", "2"),
        ("1.2.3", "1"),
        ("12A", "13A"),
        ("18-25", "3"),
        ("-", "-"),
        ("1,5e999", "2,5"),
        ("1 star", "2 stars"),
    ],
)
def test_what_is_no_number_or_not_of_one_quantity_is_none(read: Read, cells: tuple[str, str]) -> None:
    assert read(column(*cells, *cells)).columns["x"]["type"] == "category"


@pytest.mark.parametrize(("delimiter", "value"), [(",", 1234), (";", 1.234)])
def test_what_a_comma_is_depends_on_what_parts_the_fields(read: Read, delimiter: str, value: float) -> None:
    upload = read(f'x{delimiter}y\n"1,234"{delimiter}1\n"2,345"{delimiter}2\n')
    assert upload.columns["x"]["min"] == value


def test_points_part_thousands_where_other_columns_have_decimal_commas(read: Read) -> None:
    upload = read("x;y;z\n1.234;1,5;0.125\n12;2,5;1.500\n-1.234;3,5;2\n")
    assert upload.table.columns["x"].values.tolist() == [1234, 12, -1234]
    assert code(upload) == "formatted_numbers"
    assert upload.columns["z"]["max"] == 2
    without = read("x;y;z\n1.234;1.5 kg;1\n12.345;2.5 kg;2\n")
    assert without.columns["x"]["max"] == 12.345
    assert code(without) is None
    plain = read("x;y;z\n1.234;36 months;1\n12.345;60 months;2\n")
    assert plain.columns["x"]["max"] == 12.345


def test_numbers_that_begin_with_zeros_are_doubted(read: Read) -> None:
    assert code(read(column("01234", "12345"))) == "leading_zeros"
    assert code(read(column("0.5", "10"))) is None


def test_a_column_that_is_nearly_of_numbers_says_which_cell_is_none(read: Read) -> None:
    cells = [*(str(i / 2) for i in range(30)), "broken"]
    upload = read(column(*cells))
    assert upload.columns["x"]["type"] == "category"
    assert code(upload) == "mostly_numbers"
    (said,) = [each for each in upload.found["warnings"] if each["code"] == "mostly_numbers"]
    assert said["message"] == "30 of 31 values of 'x' are numbers; that of row 31 is none."
    assert "broken" not in str(said)
    assert code(read(column(*(cells[:20] + ["broken"] * 10)))) is None
    assert code(read(column(*(["1", "2", "3"] * 10 + ["broken"])))) is None  # classes that have numbers


def test_a_column_that_is_nearly_of_dates_says_so(read: Read) -> None:
    days = [f"2024-01-{day:02}" for day in range(1, 31)]
    assert code(read(column(*days, "unknown"))) == "mostly_dates"
    assert code(read(column(*days[:4], "unknown"))) != "mostly_dates"


@pytest.mark.parametrize(
    ("kind", "word", "said"),
    [
        ("number", "broken", ["Broken"]),
        ("number", "-999.0", [-999]),
        ("category", "-", ["-", "."]),
        ("date", "0000-00-00", ["0000-00-00"]),
    ],
)
def test_what_stands_for_nothing_may_be_said(read: Read, kind: str, word: str, said: list[Any]) -> None:
    cells = {"number": "1.5", "category": "red", "date": "2024-01-31"}[kind], word, word
    upload = read(column(*cells), columns={"x": {"type": kind, "missing": said}})
    assert (upload.columns["x"]["type"], upload.columns["x"]["missing"]) == (kind, 2)
    assert upload.columns["0"]["missing"] == 0


@pytest.mark.parametrize(("cells", "row"), [(("5 €", "6 €", "free"), 3), (("5", "6 €", "7 $"), 2)])
def test_the_cell_that_is_no_number_is_named_among_amounts(
    refused: Refused, cells: tuple[str, ...], row: int
) -> None:
    said = {"x": {"type": "number"}}
    assert refused(column(*cells), columns=said) == (
        "not_a_number",
        "columns.x",
        f"Row {row} of column 'x' is not a number.",
    )


def test_what_stands_for_nothing_may_be_a_number_of_json(read: Read) -> None:
    content = '[{"x": -999, "y": 1}, {"y": 2}, {"x": 3, "y": -999}]'
    upload = read(content, columns={"x": {"type": "number", "missing": [-999]}})
    assert (upload.columns["x"]["missing"], upload.columns["y"]["missing"]) == (2, 0)


def test_years_of_two_digits_are_of_one_century(read: Read) -> None:
    upload = read(column("31.12.69", "31.12.68", "01.02.70"))
    assert code(upload) == "two_digit_years"
    assert (upload.columns["x"]["first"], upload.columns["x"]["last"]) == ("1969-12-31", "2068-12-31")


def test_numbers_that_look_like_dates_are_doubted(read: Read) -> None:
    assert code(read(column("20240131", "20231231", "20240101"))) == "numbers_like_dates"
    assert code(read(column("20240131", "20231331", "20240101"))) is None
    said = {"x": {"type": "date", "format": "%Y%m%d"}}
    assert read(column("20240131", "20231231"), columns=said).columns["x"]["last"] == "2024-01-31"
