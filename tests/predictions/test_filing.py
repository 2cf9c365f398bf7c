"""Files of rows: value by value what named rows of JSON get, however the file spells them."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from app.errors import InvalidDataset
from app.models.evaluation import outputs_of
from app.predictions import carried, filing, media
from app.predictions.fitting import fitted
from tests.support.portable import MARKED, loaded, network_of

NETWORK = network_of(MARKED)
LIMITS = {"max_columns": 50, "max_expanded_bytes": 1 << 30, "max_ratio": 200}
HEAD = "length,island,colony,seen,wild,born,ringed,mass\n"
ROW = '1.5,Dream,Avian,2007-11-12T12:34:56,yes,17.06.1969,"Jan 31, 1970",4000\n'


def answers(directory: Path, content: bytes) -> tuple[list[dict[str, Any]], dict[str, int]]:
    directory.mkdir(exist_ok=True)
    carried.write(loaded(NETWORK), directory)
    (directory / "body").write_bytes(content)
    done = filing.predict(directory / "body", directory, media.JSON_LINES, LIMITS, own=False)
    lines = (directory / "answer").read_text().splitlines()
    return [json.loads(line) for line in lines], done["warnings"]


def said(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Of named rows of JSON."""
    x, _ = MARKED.encode_rows(rows)
    outputs = outputs_of(NETWORK.architecture, NETWORK.parameters, x.astype("float32"))
    names = [f"probability_{name}" for name in MARKED.classes or ()]
    return [dict(zip(names, row, strict=True)) for row in outputs.tolist()]


def assert_same(found: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    for answer, wanted in zip(found, said(rows), strict=True):
        assert {name: answer[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("born", ["03.04.2001", "2001-04-13", "", "1.2.1999", "NA", "03.04.2001 10:30"]),  # a day or a month
        ("ringed", ["1970-01-31", "Feb 28, 1971"]),
        ("seen", ["2024-02-29", "2024-02-29T10:30:00+02:00", "?", " 2024-02-29 10:30 "]),
        ("island", ["Dream", "Atlantis", "", "Skye", " Ulva ", "other", "Lemuria"]),
        ("wild", ["true", "NO", "", "y"]),
        ("length", ["1.5", "", "nan"]),
    ],
)
def test_each_value_is_read_as_in_json(tmp_path: Path, column: str, values: list[str]) -> None:
    names = HEAD.strip().split(",")
    cells = ["1.5", "Biscoe", "Avian", "2007-11-12", "yes", "17.06.1969", "1970-01-31", "4000"]
    rows: list[dict[str, Any]] = [dict(zip(names, cells, strict=True)) | {column: value} for value in values]
    lines = "".join(",".join(f'"{row[name]}"' for name in names) + "\n" for row in rows)
    found, warnings = answers(tmp_path, (HEAD + lines).encode())
    assert [each[column] for each in found] == values
    for row in rows:
        for number in ("length", "mass"):
            row[number] = float(row[number]) if row[number] not in ("", "nan") else None
    assert_same(found, rows)
    unknown = len([value for value in values if value in ("Dream", "Atlantis", "other", "Lemuria")])
    assert warnings == ({"unknown_category": unknown} if unknown else {})


def test_categories_that_nobody_knows_are_one_however_many_there_are(tmp_path: Path) -> None:
    many = "".join(ROW.replace("Dream", f"island {i}") for i in range(12_000))
    found, warnings = answers(tmp_path, (HEAD + many).encode())
    assert warnings == {"unknown_category": 12_000}
    assert {each["prediction"] for each in found} == {found[0]["prediction"]}


def test_a_word_that_stands_for_them_is_no_category() -> None:
    from app.datasets import cells
    from app.datasets.encoding import Encoding, Target
    from app.datasets.features import CategoryFeature

    feature = CategoryFeature("c", 0, ("10", "other"), (True, True))
    encoding = Encoding("regression", (feature,), (Target("y"),), None, ())
    sent = cells.spelled(pl.DataFrame({"c": ["10", "10.0", "other", "x", None, "10.5"]}))
    found = fitted(sent, encoding).frame["c"].to_list()
    assert found == ["10", "10", "other", "other_", None, "other_"]


def test_whole_numbers_beside_missing_ones_are_the_categories_that_they_spell(tmp_path: Path) -> None:
    file = io.BytesIO()
    frame = pl.read_csv((HEAD + ROW * 2).encode())
    frame.with_columns(wild=pl.Series([1.0, None])).write_parquet(file)
    found, _ = answers(tmp_path, file.getvalue())
    row = dict(zip(frame.columns, frame.row(0), strict=True))
    assert_same(found, [row | {"wild": True}, row | {"wild": None}])


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("17.06.1969", "31.02.2001", "not_a_date"),
        ("17.06.1969", "06/17/1969", "not_a_date"),
        ("2007-11-12T12:34:56", "12.11.2007", "not_a_date"),
        ("yes", "perhaps", "not_a_boolean"),
    ],
)
def test_what_no_row_of_json_could_be_is_refused_with_its_row(
    tmp_path: Path, old: str, new: str, code: str
) -> None:
    with pytest.raises(InvalidDataset) as caught:
        answers(tmp_path, (HEAD + ROW + ROW.replace(old, new)).encode())
    (fault,) = caught.value.faults
    assert fault.code == code
    assert fault.message.startswith("Row 2 ")


def test_json_comes_back_in_its_own_types(tmp_path: Path) -> None:
    row = {
        "length": 1.25, "island": "Dream", "colony": "Avian", "seen": None, "wild": True,
        "born": "1969-06-17", "ringed": None, "mass": 4000,
    }  # fmt: skip
    rows = [row, row | {"length": None, "wild": None, "mass": 2**60}, row | {"island": 7, "length": 1e-300}]
    for content in ("\n".join(map(json.dumps, rows)), json.dumps(rows), json.dumps({"rows": rows})):
        found, _ = answers(tmp_path, content.encode())
        assert [{name: each[name] for name in row} for each in found] == [
            row | {"mass": "4000"},
            row | {"length": None, "wild": None, "mass": str(2**60)},
            row | {"island": "7", "length": 1e-300, "mass": "4000"},
        ]
