import csv
import io
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets import delimited
from app.errors import InvalidDataset

Refused = Callable[..., tuple[str, str, str]]

cells = st.text(st.sampled_from(string.ascii_letters + "0123456789 ,;\t|\"'\né…"), max_size=6)
plain_cells = st.text(st.sampled_from(string.ascii_letters + "0123456789 .é…"), max_size=6)


def whole(path: Path) -> pl.DataFrame:
    source = delimited.open_source(path, 5_000)
    return pl.concat(list(source.frames()))


def frame_of(content: bytes, path: Path) -> list[tuple[str, ...]]:
    path.write_bytes(content)
    return [tuple(cell or "" for cell in row) for row in whole(path).rows()]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=20),
    delimiter=st.sampled_from(",\t;|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["first", "second", "third"])
    writer.writerows(rows)
    assert frame_of(text.getvalue().encode(), tmp_path_factory.mktemp("csv") / "file") == rows


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.tuples(plain_cells, plain_cells), min_size=1, max_size=20),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_both_readers_read_unquoted_text_alike(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], end: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "file"
    text = end.join(["a,b", *(",".join(row) for row in rows), ""])
    quoted = text.replace("a,b", '"a",b', 1)
    assert frame_of(text.encode(), path) == frame_of(quoted.encode(), path) == rows


def test_long_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BATCH_BYTES", 64)
    monkeypatch.setattr(delimited, "BATCH_ROWS", 5)
    rows = [(str(i), str(i * i)) for i in range(300)]
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    assert frame_of(text.encode() + b"\n" * 200, tmp_path / "file") == rows
    assert frame_of(text.replace("a,b", '"a",b').encode(), tmp_path / "file") == rows
    assert frame_of(text.encode() + b"\n" * 200 + b"1,2\n", tmp_path / "file") == [*rows, ("1", "2")]
    with pytest.raises(InvalidDataset) as caught:
        frame_of(text.encode() + b"\n" * 200 + b"1\n", tmp_path / "file")
    assert caught.value.faults[0].code == "ragged_row"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found_where_others_occur_in_cells(tmp_path: Path, delimiter: str) -> None:
    other = ";" if delimiter == "," else ","
    text = f"a{delimiter}b\n1{other}5{delimiter}2\n3{other}5{delimiter}4\n"
    assert frame_of(text.encode(), tmp_path / "file") == [(f"1{other}5", "2"), (f"3{other}5", "4")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    for text in ("a,b\n1,2\n3,4\n", '"a",b\n1,2\n3,4\n'):
        (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert whole(tmp_path / "file").columns == ["a", "b"]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(("row", "got"), [("5", 1), ("5,6,7", 3)])
def test_ragged_rows_are_named_by_row_and_line(refused: Refused, quote: str, row: str, got: int) -> None:
    code, _, message = refused(f"{quote}a{quote},b\n1,2\n3,4\n{row}\n8,9\n")
    assert code == "ragged_row"
    assert message == f"Row 3 (line 4 of the file) has {got} field{'s' * (got > 1)}; the header has 2."


def test_a_ragged_row_far_down_is_found(refused: Refused) -> None:
    lines = ["a,b", *["1,2"] * 99_999, "1"]
    assert refused("\n".join(lines))[2].startswith("Row 100000 (line 100001 of the file) has 1 field;")


def test_lines_within_quotes_count_as_lines_and_not_as_rows(refused: Refused) -> None:
    assert refused('a,b\n"x\ny",2\n3\n')[2].startswith("Row 2 (line 4 of the file) has 1")


def test_blank_lines_in_a_single_column_are_missing_values_but_not_at_the_end(tmp_path: Path) -> None:
    assert frame_of(b"a\n1\n\n3\n\n\n", tmp_path / "file") == [("1",), ("",), ("3",)]


BLANKS = ["a,b\n\n1,2\n3,4\n", "a,b\n1,2\n \t\n3,4\n", "a,b\r\n1,2\r\n\r\n3,4\r\n", "a,b\n1,2\n3,4\n\n  \n"]


@pytest.mark.parametrize("content", BLANKS)
@pytest.mark.parametrize("quote", ["", '"'])
def test_blank_lines_are_no_rows(tmp_path: Path, content: str, quote: str) -> None:
    assert frame_of(content.replace("1", f"{quote}1{quote}").encode(), tmp_path / "file") == [
        ("1", "2"),
        ("3", "4"),
    ]


def test_a_line_is_counted_though_it_is_blank(refused: Refused) -> None:
    assert refused("a,b\n1,2\n\n3\n")[2].startswith("Row 2 (line 4 of the file) has 1 field;")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("cell", ["1,5", '"1,5"'])
def test_a_spreadsheet_may_say_what_parts_the_fields(tmp_path: Path, mark: str, cell: str) -> None:
    content = f"{mark}sep=;\r\na;b\r\n{cell};2\r\n3;4\r\n"
    assert frame_of(content.encode(), tmp_path / "file") == [("1,5", "2"), ("3", "4")]
    assert whole(tmp_path / "file").columns == ["a", "b"]


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_line_that_says_so_is_counted(refused: Refused, quote: str) -> None:
    assert refused(f"sep=;\na;b\n{quote}1{quote};2\n3\n")[2].startswith("Row 2 (line 4 of the file)")


@pytest.mark.parametrize(
    ("header", "doubtful"), [("5.1,0.2,setosa", True), ("17,x", True), ("name,2019,2020", False)]
)
def test_a_header_that_may_be_data_is_doubted(read: Callable[..., Any], header: str, doubtful: bool) -> None:
    width = header.count(",") + 1
    rows = "".join(",".join([str(i)] * width) + "\n" for i in range(3))
    assert (("doubtful_header", "file") in read(f"{header}\n{rows}").warnings) == doubtful


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!DOCTYPE html>\n<html><p>Not found, sorry</p></html>\n", "The file is HTML;"),
        ("@relation iris\n@attribute x numeric\n@data\n1\n", "The file is ARFF;"),
        ("Sales of May\na,b\n1,2\n", "Row 1 (line 2 of the file) has 2 fields; the header has 1."),
    ],
)
def test_what_is_no_table_is_told_apart(refused: Refused, content: str, said: str) -> None:
    assert refused(content)[2].startswith(said)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('a,b\n"1,2\n3,4\n', "unreadable_row"),
        ('a,b\n"1"x,2\n', "unreadable_row"),
        (f'a,b\n"{"x" * 200_000}",2\n1,2\n', "unreadable_row"),
        ("a,a\n1,2\n3,4\n", "duplicate_column"),
        ("a, a \n1,2\n3,4\n", "duplicate_column"),
        ("a\x07b,c\n1,2\n3,4\n", "invalid_column_name"),
        ("a" * 256 + ",c\n1,2\n3,4\n", "invalid_column_name"),
        ("\n\n\n", "empty_file"),
        ("a,b\n", "too_few_rows"),
        ("a,b\n1,2\n", "too_few_rows"),
        (",".join(f"c{i}" for i in range(10_000)) + "\n", "too_many_columns"),
        ("," * 3_000_000, "too_many_columns"),
    ],
)
def test_unusable_text_is_refused(refused: Refused, content: str, code: str) -> None:
    assert refused(content)[0] == code


def test_a_header_of_numbers_is_data(read: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("5.1,3.5\n4.9,3\n4.7,3.2\n")
    frame, warnings = whole(tmp_path / "file"), delimited.open_source(tmp_path / "file", 10).warnings
    assert frame.columns == ["column_1", "column_2"]
    assert frame.rows()[0] == ("5.1", "3.5")
    assert frame.height == 3
    assert [warning.code for warning in warnings] == ["no_header"]


def test_a_name_of_several_lines_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('"net \n(EUR)",b\n1,2\n3,4\n')
    assert whole(tmp_path / "file").columns == ["net (EUR)", "b"]


def test_an_unnamed_column_gets_a_free_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(",column_1,b\n1,2,3\n4,5,6\n")
    frame, warnings = whole(tmp_path / "file"), delimited.open_source(tmp_path / "file", 10).warnings
    assert frame.columns == ["column_1_", "column_1", "b"]
    assert [(warning.code, warning.param) for warning in warnings] == [
        ("unnamed_column", "columns.column_1_")
    ]


def test_many_rows_are_quick(tmp_path: Path) -> None:
    values = np.arange(600_000).reshape(-1, 6)
    text = "a,b,c,d,e,f\n" + "\n".join(",".join(map(str, row)) for row in values.tolist())
    (tmp_path / "file").write_text(text)
    assert whole(tmp_path / "file").height == 100_000


def test_single_quotes_are_quotes_where_the_fields_have_them(tmp_path: Path) -> None:
    text = "'a','b'\n'x, y','it''s'\n'z','1'\n"
    assert frame_of(text.encode(), tmp_path / "file") == [("x, y", "it's"), ("z", "1")]
    text = "name,n\nO'Hara,1\n'tis,2\nrock 'n' roll,3\n"
    assert [row[0] for row in frame_of(text.encode(), tmp_path / "file")] == [
        "O'Hara",
        "'tis",
        "rock 'n' roll",
    ]


def test_spaces_part_numbers_but_not_words(tmp_path: Path) -> None:
    text = "  mass   width label\n 1.5  2   a\n12    3.25 b  \n NA  4  c\n"
    found = [("1.5", "2", "a"), ("12", "3.25", "b"), ("NA", "4", "c")]
    assert frame_of(text.encode(), tmp_path / "file") == found
    assert whole(tmp_path / "file").columns == ["mass", "width", "label"]
    words = "full name\nAda Lovelace\nAlan Turing\nGrace Hopper\n"
    assert frame_of(words.encode(), tmp_path / "file")[0] == ("Ada Lovelace",)


@pytest.mark.parametrize("header", ["[Na+],y", "{kg},y", "[m/s];y", "[°C]"])
def test_a_name_in_brackets_is_no_json(read: Callable[..., Any], header: str) -> None:
    between = next((each for each in ",;" if each in header), "")
    rows = "".join(f"{i}{between}{i}\n" for i in range(3))
    assert header[0] in next(iter(read(f"{header}\n{rows}").columns))


@pytest.mark.parametrize("content", ["[x", "{'x': 1}", "[1, 2]", "[null]", "[[1]]", "{x: 1}", "{"])
def test_what_begins_as_json_does_is_told_as_such(refused: Refused, content: str) -> None:
    assert refused(content)[0] in ("invalid_json", "wrong_type")
