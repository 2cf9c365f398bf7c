import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets import parsing
from app.datasets.table import Column, Table, load, save

Read = Callable[..., Any]

numbers = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**20), 10**20)
)
words = st.one_of(st.none(), st.sampled_from(["red", "blue", "é", 'say "x"', "a,b", "a\nb", "True north"]))
rows = st.lists(
    st.fixed_dictionaries({"x": numbers, "w": words, "ok": st.sampled_from([True, False, None])}), min_size=2
)


def csv_of(rows: list[dict[str, Any]]) -> str:
    def cell(value: object) -> str:
        if value is None:
            return "NA"
        return '"' + (str(value).lower() if isinstance(value, bool) else str(value)).replace('"', '""') + '"'

    return "\r\n".join(["x,w,ok", *(",".join(map(cell, row.values())) for row in rows)]) + "\r\n"


def parse(content: str, directory: Path) -> tuple[dict[str, Any], Table]:
    (directory / "upload").write_text(content, newline="")
    found = parsing.parse(directory / "upload", directory, {}, 5_000, 1 << 30, 200)
    return found, load(directory / parsing.TABLE)


@settings(max_examples=50, deadline=None)
@given(rows)
def test_values_survive_csv_and_json_and_give_the_same_content(
    tmp_path_factory: Any, rows: list[dict[str, Any]]
) -> None:
    directory = tmp_path_factory.mktemp("table")
    rows = [{name: row[name] for name in ("x", "w", "ok")} for row in rows]
    found, table = parse(csv_of(rows), directory)
    as_json, same = parse(json.dumps(rows), directory)
    assert found["sha256"] == as_json["sha256"]
    x = table.columns["x"].values
    assert [None if np.isnan(value) else value for value in x.tolist()] == [
        None if row["x"] is None else float(row["x"]) for row in rows
    ]
    np.testing.assert_array_equal(x, same.columns["x"].values)
    if "w" in table.columns and any(row["w"] for row in rows):
        categories = table.columns["w"].categories
        assert categories
        assert list(categories) == sorted(categories)
        codes = table.columns["w"].values.tolist()
        assert [None if c < 0 else categories[c] for c in codes] == [row["w"] for row in rows]


def test_content_tells_names_types_values_and_order_apart(read: Read) -> None:
    contents = [
        "a,b\n1,2\n3,4\n",
        "a,c\n1,2\n3,4\n",
        "b,a\n2,1\n4,3\n",
        "a,b\n1,2\n3,5\n",
        "a,b\n1,2\n3,\n",
        "a,b\n1,2\n3,4\n3,4\n",
        "a,b\n1,x\n3,y\n",
        "a,b\n1,x\n3,z\n",
    ]
    digests = [read(content).found["sha256"] for content in contents]
    digests.append(read(contents[0], columns={"a": {"type": "category"}}).found["sha256"])
    digests.append(read(contents[6], columns={"b": {"type": "text"}}).found["sha256"])
    assert len(set(digests)) == len(digests)
    assert read("a,b\n1.0,2e0\n+3,4\n").found["sha256"] == digests[0]


def test_the_table_is_rebuilt_from_the_parquet(read: Read, tmp_path: Path) -> None:
    upload = read(
        "x,kind,ok,note\n1.5,b,true,n1\nNA,NA,NA,n2\n2,a,false,n2\n", columns={"note": {"type": "text"}}
    )
    (tmp_path / "again").mkdir()
    parsing.rebuild(upload.parquet, tmp_path / "again")
    assert (tmp_path / "again" / parsing.TABLE).read_bytes() == (tmp_path / parsing.TABLE).read_bytes()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_table_is_loaded_without_being_read(tmp_path: Path) -> None:
    values = np.arange(8_000_000, dtype=np.float64)
    codes = np.resize(np.array([0, 1, -1], dtype=np.int32), len(values))
    columns = {"x": Column("x", "number", values), "c": Column("c", "category", codes, ("é", '"'))}
    save(Table(len(values), columns), tmp_path / "table")
    before = resident_bytes()
    table = load(tmp_path / "table")
    assert table.columns["x"].values[-1] == values[-1]
    assert resident_bytes() - before < 4 << 20
    assert table.row_count == len(values)
    assert table.columns["c"].categories == ("é", '"')
    assert table.columns["c"].values[:4].tolist() == [0, 1, -1, 0]
    assert not table.columns["x"].values.flags.writeable


def test_a_table_may_have_no_columns(tmp_path: Path) -> None:
    save(Table(3, {}), tmp_path / "table")
    assert load(tmp_path / "table") == Table(3, {})
