import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.datasets import documents
from app.errors import InvalidDataset, TooLarge

Read = Callable[..., Any]
Refused = Callable[..., tuple[str, str, str]]

ROWS = [{"x": 1.5, "ok": True, "kind": "a"}, {"x": None, "ok": False, "kind": "b"}, {"x": 2, "kind": "a"}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps({"rows": ROWS}),
        "\n".join(json.dumps(row) for row in ROWS) + "\n",
        json.dumps({"data": {"x": [1.5, None, 2], "ok": [True, False, None], "kind": ["a", "b", "a"]}}),
        "\ufeff" + json.dumps(ROWS, indent=2),
        "x,ok,kind\n1.5,true,a\nNA,FALSE,b\n2.0,,a\n",
    ],
)
def test_every_spelling_of_the_same_data_has_the_same_content(read: Read, content: str) -> None:
    upload = read(content)
    assert [(c["name"], c["type"], c["missing"]) for c in upload.found["columns"]] == [
        ("x", "number", 1),
        ("ok", "boolean", 1),
        ("kind", "category", 0),
    ]
    assert upload.table.columns["ok"].values.tolist() == [1, 0, -1]
    assert upload.found["sha256"] == read(json.dumps(ROWS)).found["sha256"]


def test_columns_are_the_union_of_members_in_first_seen_order(read: Read) -> None:
    upload = read('[{"b": 1}, {"a": 2, "b": 3}, {"c": 4}]')
    assert list(upload.columns) == ["b", "a", "c"]
    assert upload.columns["a"]["missing"] == 2


def test_the_envelope_is_handed_on_and_its_corrections_hold(read: Read) -> None:
    content = {"name": "zips", "metadata": {"k": "v"}, "columns": {"zip": {"type": "category"}}}
    upload = read(json.dumps(content | {"data": {"zip": [10115, 20095, 10115], "y": [1, 2, 3]}}))
    assert upload.found["envelope"] == {"name": "zips", "metadata": {"k": "v"}}
    assert upload.columns["zip"]["categories"] == ["10115", "20095"]


def test_mixed_values_are_read_as_their_spelling(read: Read) -> None:
    upload = read('[{"a": 1, "b": 1}, {"a": "NA", "b": "one"}, {"a": "2.5", "b": true}]')
    assert upload.columns["a"]["type"] == "number"
    assert upload.columns["b"]["categories"] == ["1", "one", "true"]


@pytest.mark.parametrize(
    "number", ["0.1", "1e-320", "-1.7976931348623157e308", "123456789012345678", "-0", "1E5"]
)
def test_numbers_are_read_to_the_last_bit(read: Read, number: str) -> None:
    values = read(f'[{{"a": {number}}}, {{"a": 3}}]').table.columns["a"].values
    assert math.copysign(1, values[0]) == math.copysign(1, float(number) + 0.0)
    assert values[0] == float(number)


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ('[{"x": 1}, {"x": NaN}]', "not_finite", "rows[1].x"),
        ('{"data": {"x": [1, -Infinity]}}', "infinite_number", "data.x[1]"),
        ('{"metadata": {"a": 1e999}, "rows": [{"x": 1}]}', "not_finite", "metadata"),
        ('{"name": [{"a": NaN}], "rows": [{"x": 1}]}', "not_finite", "name"),
        ('[{"x": 1}, {"x": 1e999}]', "infinite_number", "rows[1].x"),
        ('[{"x": ' + "9" * 5_000 + "}]", "infinite_number", "file"),
        ('[{"x": ' + "9" * 400 + '}, {"x": 1}]', "infinite_number", "columns.x"),
        ('[{"x": 1, "x": 2}]', "duplicate_key", "file"),
        ('[{"x": "\\ud800"}]', "lone_surrogate", "file"),
        ('[{"x": "a\\u0000"}]', "nul_character", "file"),
        ('[{"x": 1}, {"x": [2]}]', "nested_value", "rows[1].x"),
        ('[{"x": 1}, {"x": {"y": 2}}]', "nested_value", "rows[1].x"),
        ('{"data": {"x": [1, [2]]}}', "nested_value", "data.x[1]"),
        ('{"data": {"x": [1, 2], "y": [1]}}', "ragged_column", "data.y"),
        ('{"data": {"x": 1}}', "wrong_type", "data.x"),
        ('{"data": []}', "wrong_type", "data"),
        ('{"rows": {}}', "wrong_type", "rows"),
        ("[[1, 2], [3, 4]]", "wrong_type", "rows[0]"),
        ('{"rows": [], "colour": 1, "data": {}}', "unknown_field", "colour"),
        ('{"rows": [], "data": {}}', "missing_field", "rows"),
        ('{"name": "x"}', "missing_field", "rows"),
        ('{"rows": [{"x": 1}, {"x": 2}], "columns": 5}', "wrong_type", "columns"),
        ("[]", "too_few_rows", "file"),
        ("[{}, {}]", "too_few_rows", "file"),
        ('[{"x": 1}]', "too_few_rows", "file"),
        ("[" * 100_000, "invalid_json", "file"),
        ('[{"x": 1},', "invalid_json", "file"),
        ('{"x": 1}\n{"x": }\n', "invalid_json", "file"),
        ('[{"": 1}, {"": 2}]', "invalid_column_name", "columns[0]"),
        ('[{"a": 1, " a": 2}, {"a": 2}]', "duplicate_column", "columns.a"),
    ],
)
def test_json_is_strict(refused: Refused, content: str, code: str, param: str) -> None:
    assert refused(content)[:2] == (code, param)


def test_what_is_read_as_a_whole_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "ENVELOPE_BYTES", 20)
    rows = [{"x": 1}, {"x": 2}]
    path = tmp_path / "upload"
    path.write_text(json.dumps({"rows": rows}))
    with pytest.raises(TooLarge, match="20 bytes") as caught:
        documents.open_source(path, 10)
    assert "JSON Lines" in (caught.value.faults[0].hint or "")
    path.write_text(json.dumps(rows))  # an array is read in parts
    assert sum(each.height for each in documents.open_source(path, 10).frames()) == 2


def test_a_long_column_is_made_of_parts(tmp_path: Path) -> None:
    values = [*range(documents.BATCH_VALUES), None, 0.5, "x"]
    path = tmp_path / "upload"
    path.write_text(json.dumps({"data": {"x": values}}))
    (frame,) = documents.open_source(path, 10).frames()
    assert frame["x"].to_list() == [*map(str, range(documents.BATCH_VALUES)), None, "0.5", "x"]
    path.write_text(json.dumps({"data": {"x": values}}).replace("0.5", "1e999"))
    with pytest.raises(InvalidDataset) as caught:
        documents.open_source(path, 10)
    assert caught.value.faults[0].param == f"data.x[{documents.BATCH_VALUES + 1}]"
