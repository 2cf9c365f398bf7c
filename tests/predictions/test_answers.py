"""What a file is answered with: its own columns, then ours, and nothing where there is no answer."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.predictions import answers, media
from tests.support.portable import CLASSES, NUMBERS, loaded, network_of

ROWS = pl.DataFrame({"length": ["1", "2"], "prediction": ["a", "b"], "probability_é": ["x", "y"]})


@pytest.mark.parametrize("kind", [media.CSV, media.TSV, media.JSON_LINES, media.PARQUET, media.ARROW])
def test_an_output_that_is_not_finite_is_no_answer_in_any_type(tmp_path: Path, kind: str) -> None:
    model = loaded(network_of(CLASSES))
    outputs = np.array([[0.2, 0.7, 0.1], [0.9, np.nan, np.inf]], np.float32)
    path = tmp_path / "answer"
    assert answers.write(path, kind, model, 2, iter([answers.Batch(ROWS.select("length"), outputs)])) == 1
    readers = {
        media.CSV: pl.read_csv,
        media.TSV: lambda file: pl.read_csv(file, separator="\t"),
        media.JSON_LINES: pl.read_ndjson,
        media.PARQUET: pl.read_parquet,
        media.ARROW: pl.read_ipc,
    }
    found = readers[kind](path)
    assert found["prediction"].to_list() == ["Gentoo", None]
    assert found["probability_Gentoo"].to_list() == [pytest.approx(0.7), None]
    assert found["probability_é"].to_list() == [pytest.approx(0.1), None]


def test_what_came_keeps_its_names(tmp_path: Path) -> None:
    model = loaded(network_of(CLASSES))
    outputs = np.array([[0.2, 0.7, 0.1]] * 2, np.float32)
    path = tmp_path / "answer"
    answers.write(path, media.JSON_LINES, model, 2, iter([answers.Batch(ROWS, outputs)]))
    first = json.loads(path.read_text().splitlines()[0])
    ours = ["prediction_", "probability_Adelie", "probability_Gentoo", "probability_é_"]
    assert list(first) == [*ROWS.columns, *ours]
    assert (first["prediction"], first["prediction_"]) == ("a", "Gentoo")


def test_several_targets_have_a_column_each(tmp_path: Path) -> None:
    model = loaded(network_of(NUMBERS, output="identity"), "squared_error")
    path = tmp_path / "answer"
    answers.write(path, media.JSON_LINES, model, 2, iter([answers.Batch(ROWS, np.array([[0.0, 1.0]] * 2))]))
    first = json.loads(path.read_text().splitlines()[0])
    y, z = NUMBERS.targets
    assert (first["prediction_y"], first["prediction_z"]) == (y.offset, z.offset + z.scale)
