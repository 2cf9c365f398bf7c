import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Read = Callable[..., Any]

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"


def test_the_penguins(read: Read) -> None:
    upload = read(PENGUINS.read_bytes())
    assert upload.found["row_count"] == 344
    assert {name: c["type"] for name, c in upload.columns.items()} == {
        "species": "category",
        "island": "category",
        "bill_length_mm": "number",
        "bill_depth_mm": "number",
        "flipper_length_mm": "number",
        "body_mass_g": "number",
        "sex": "category",
        "year": "number",
    }
    assert upload.columns["species"]["counts"] == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    assert upload.columns["sex"]["missing"] == 11
    assert all(column["used_by_default"] for column in upload.found["columns"])
    assert upload.found["warnings"] == []


def test_the_figures_of_a_number(read: Read) -> None:
    cells = [3.5, 1.0, 2.25, 8.0, 1.0]
    found = read("x,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells)) + ",1\n").columns["x"]
    assert found == {
        "name": "x",
        "type": "number",
        "missing": 1,
        "used_by_default": True,
        "reason": None,
        "min": 1.0,
        "max": 8.0,
        "mean": np.mean(cells),
        "std": np.std(cells),
        "quantiles": [1.0, 1.0, 2.25, 3.5, 8.0],
        "histogram": np.histogram(cells, 20)[0].tolist(),
        "distinct": 4,
        "integer": False,
    }


def test_figures_are_finite_or_null(read: Read) -> None:
    upload = read("x,y\n1.7e308,1\n-1.7e308,2\n1.7e308,1\n1.7e308,1\n")
    assert upload.columns["x"]["std"] is None
    json.dumps(upload.found, allow_nan=False)


def test_distinct_numbers_are_counted_up_to_a_thousand(read: Read) -> None:
    content = "x,y,z\n" + "".join(f"{i * 3},{i % 1000},{i % 2}\n" for i in range(1_001))
    columns = read(content).columns
    assert columns["x"]["distinct"] is None
    assert columns["y"]["distinct"] == 1_000


def test_every_category_is_counted(read: Read) -> None:
    words = [f"c{i:03}" for i in range(150)]
    content = "x\n" + "".join(f"{word}\n" * (10 + i % 2) for i, word in enumerate(words))
    column = read(content).columns["x"]
    assert column["categories"] == words
    assert column["counts"] == {word: 10 + i % 2 for i, word in enumerate(words)}
    assert list(column["counts"]) == sorted(column["counts"])


def test_columns_that_cannot_teach_are_set_aside_with_a_reason_and_a_warning(read: Read) -> None:
    lines = ["customer_id,n,name,note,same,empty,day,value,label"]
    for i in range(120):
        note = "red" * (i % 60)
        lines.append(
            f"{900 - i},{i + 1},name {i},{note}!,7,NA,2024-01-{i % 28 + 1:02},{i % 7 * 0.5},{'ab'[i % 2]}"
        )
    upload = read("\n".join(lines))
    assert {name: c["used_by_default"] for name, c in upload.columns.items()} == {
        "customer_id": False,
        "n": False,
        "name": False,
        "note": False,
        "same": False,
        "empty": False,
        "day": True,
        "value": True,
        "label": True,
    }
    assert upload.warnings == [
        ("identifier_column", "columns.customer_id"),
        ("identifier_column", "columns.n"),
        ("identifier_column", "columns.name"),
        ("text_column", "columns.note"),
        ("constant_column", "columns.same"),
        ("empty_column", "columns.empty"),
    ]
    assert all(upload.columns[param.removeprefix("columns.")]["reason"] for _, param in upload.warnings)


def test_the_one_number_to_learn_from_may_count(read: Read) -> None:
    assert read("x,y\n0,1.5\n1,2.5\n2,2.5\n3,9\n").columns["x"]["used_by_default"]


def test_distinct_measurements_are_no_identifier(read: Read) -> None:
    content = "mass,width,y\n" + "".join(f"{i * i + 1},{i * 0.3},{i % 2}\n" for i in range(30))
    assert read(content).found["warnings"] == []


def test_rows_that_are_there_twice_are_told(read: Read) -> None:
    rows = [f"{i},{i % 3}" for i in range(98)]
    once = read("\n".join(["x,y", *rows, "98,0", "98,0"]) + "\n")
    (warning,) = [each for each in once.found["warnings"] if each["code"] == "duplicate_rows"]
    assert warning["message"].startswith("1 rows")
    few = read("\n".join(["x,y", *rows, "98,0", "98,0", *(f"{i},1" for i in range(200, 300))]) + "\n")
    assert "duplicate_rows" not in {each["code"] for each in few.found["warnings"]}
