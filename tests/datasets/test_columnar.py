"""Parquet and Arrow IPC: by their own types, in parts, and refused where they are no table."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.datasets import columnar, parsing, source

Read = Callable[..., Any]
Refused = Callable[..., tuple[str, str, str]]

FRAME = pl.DataFrame(
    {
        "x": [1.5, float("nan"), None],
        "n": pl.Series([1, -2, 3], dtype=pl.Int8),
        "price": [Decimal("1.25"), None, Decimal("2.50")],
        "zip": ["01234", "01235", "01234"],
        "kind": pl.Series(["a", None, "b"], dtype=pl.Categorical),
        "ok": [True, None, False],
        "day": [date(2024, 1, 31), None, date(2024, 2, 1)],
        "at": [datetime(2024, 1, 31, 12, tzinfo=UTC), None, datetime(2024, 2, 1, tzinfo=UTC)],
        "took": [timedelta(seconds=1.5), None, timedelta(0)],
        "hour": [time(1), None, time(2)],
        "nothing": pl.Series([None, None, None], dtype=pl.Null),
    }
)
TYPES = {
    **dict.fromkeys(("x", "n", "price", "took", "hour", "nothing"), "number"),
    **dict.fromkeys(("zip", "kind"), "category"),
    **dict.fromkeys(("day", "at"), "date"),
    "ok": "boolean",
}


def written(frame: pl.DataFrame, form: str, **options: Any) -> bytes:
    file = BytesIO()
    write = {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "stream": frame.write_ipc_stream}[form]
    write(file, **options)  # type: ignore[operator]
    return file.getvalue()


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize("packed", [False, True])
def test_columns_have_the_types_of_the_file(read: Read, form: str, packed: bool) -> None:
    content = written(FRAME, form)
    upload = read(gzip.compress(content) if packed else content)
    assert {name: column["type"] for name, column in upload.columns.items()} == TYPES
    values = {name: column.values.tolist() for name, column in upload.table.columns.items()}
    assert values["n"] == [1.0, -2.0, 3.0]
    assert values["took"][0] == 1.5
    assert values["hour"][0] == 3600.0
    assert values["at"][0] == values["day"][0] + 12 * 3600 == 1_706_702_400.0
    assert values["ok"] == [1, -1, 0]
    assert upload.columns["x"]["missing"] == 2
    assert upload.columns["zip"]["categories"] == ["01234", "01235"]


def test_a_dataset_that_is_downloaded_and_sent_again_is_the_same(read: Read) -> None:
    lines = [
        "x,word,day,ok,note",
        *(f"{i / 3},{'ab'[i % 2]},2024-01-{i % 28 + 1:02},no,{i}!" for i in range(90)),
    ]
    first = read("\n".join([*lines, "NA,,,yes,last"]))
    assert first.columns["note"]["type"] == "text"
    again = read(first.parquet.read_bytes())
    assert again.columns["ok"]["categories"] == ["false", "true"]  # how it was spelled is not in the values
    for name in ("x", "word", "day", "note"):
        assert again.columns[name] == first.columns[name]


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([[1], [2]], "nested_value"),
        ([{"a": 1}, {"a": 2}], "nested_value"),
        ([b"a", b"b"], "nested_value"),
        ([1.0, float("inf")], "infinite_number"),
        (["a" * 200_000, "b"], "out_of_range"),
        (["a\0", "b"], "nul_character"),
    ],
)
def test_what_no_cell_can_be_is_refused_by_name(refused: Refused, form: str, values: Any, code: str) -> None:
    content = written(pl.DataFrame({"fine": [1, 2], "odd": values}), form)
    assert refused(content)[:2] == (code, "columns.odd")


def test_types_can_be_corrected(read: Read) -> None:
    wanted = {
        "n": {"type": "category"},
        "zip": {"type": "number"},
        "x": {"type": "text"},
        "day": {"type": "category"},
        "ok": {"type": "category"},
    }
    upload = read(written(FRAME, "parquet"), columns=wanted)
    assert upload.columns["n"]["categories"] == ["-2", "1", "3"]
    assert upload.table.columns["zip"].values.tolist() == [1234.0, 1235.0, 1234.0]
    assert upload.columns["ok"]["categories"] == ["false", "true"]
    assert upload.columns["day"]["categories"] == ["2024-01-31", "2024-02-01"]
    stamps = pl.DataFrame({"day": [20240131, 20240201], "y": [1, 2]})
    upload = read(written(stamps, "parquet"), columns={"day": {"type": "date"}})
    assert upload.table.columns["day"].values[0] == 1_706_659_200.0


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
def test_damage_is_refused(refused: Refused, form: str, at: float) -> None:
    content = written(FRAME, form)
    assert refused(content[: int(len(content) * at)])[0] in ("unreadable_file", "too_few_rows")


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_more_than_is_kept_in_memory_is_read_twice(
    read: Read, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives the same as when it is kept."""
    frame = pl.DataFrame({"x": np.arange(1_000) / 7, "w": [f"w{i % 7}" for i in range(1_000)]})
    upload = read(written(frame, form))
    monkeypatch.setattr(source, "KEPT_BYTES", 0)
    monkeypatch.setattr(columnar, "BATCH_CELLS", 64)
    again = read(written(frame, form))
    assert again.found == upload.found
    assert pl.read_parquet(again.parquet).equals(pl.read_parquet(upload.parquet))


def test_rows_that_a_small_file_claims_are_too_many(refused: Refused) -> None:
    content = written(pl.DataFrame({"x": np.zeros(34_000_000)}), "parquet")
    assert len(content) < 200_000
    assert refused(content)[0] == "decompressed_too_large"


def test_a_column_is_retyped_and_the_others_stay(read: Read, tmp_path: Path) -> None:
    upload = read(
        "n,zip,ok,day\n"
        + "".join(f"{i % 3},0{i},{'yes' if i % 2 else 'no'},2024-01-0{i + 1}\n" for i in range(9))
    )
    (tmp_path / "again").mkdir()
    found = parsing.retype(upload.parquet, tmp_path / "again", {"n": {"type": "category"}})
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["n"]["categories"] == ["0", "1", "2"]
    assert columns["ok"] == upload.columns["ok"]
    assert columns["day"] == upload.columns["day"]
    assert columns["zip"] == upload.columns["zip"]
    assert found["sha256"] != upload.found["sha256"]


def test_a_footer_that_begins_before_the_file_is_refused(refused: Refused) -> None:
    """Polars asks the system for a place below 0."""
    content = written(FRAME, "arrow")
    assert content.endswith(b"ARROW1")
    assert refused(content[:-10] + (2**20).to_bytes(4, "little") + b"ARROW1")[0] == "unreadable_file"
