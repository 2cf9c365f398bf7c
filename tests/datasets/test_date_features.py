"""Dates as inputs: alike in time, year, week and day, whether of a table or of a row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.datasets.date_features import DAY, DateFeature
from app.datasets.encoding import Encoding, fit
from app.datasets.moments import moment, seconds_of
from app.errors import Invalid

Read = Callable[..., Any]


def fitted(upload: Any) -> Encoding:
    rows = np.arange(upload.table.row_count)
    return fit(upload.table, ["d"], "y", "regression", rows, True)


def test_rows_and_tables_are_encoded_alike(read: Read) -> None:
    days = ["2023-12-31", "2024-01-01", "2024-07-01 06:00", "NA", "2024-01-08", "2024-02-29 23:59:59.5"]
    upload = read("d,y\n" + "".join(f"{day},{i}\n" for i, day in enumerate(days)))
    encoding = fitted(upload)
    of_table = encoding.encode_inputs(upload.table, np.arange(len(days)))
    of_rows, _ = encoding.encode_rows([{"d": None if day == "NA" else day} for day in days])
    assert of_table.shape == (6, 7)
    np.testing.assert_allclose(of_rows, of_table, rtol=0, atol=1e-12)
    again = Encoding.from_json(encoding.to_json())
    assert again == encoding
    assert encoding.features[0].width == encoding.input_width == 7
    assert of_table[3].tolist() == [0.0] * 7  # the mean, and no point of any cycle


def test_what_lies_side_by_side_is_alike(read: Read) -> None:
    """The last day of a year beside the first, a Sunday beside a Monday."""
    upload = read("d,y\n2023-12-31,1\n2024-01-01,2\n2024-07-01,3\n2024-07-08,4\n")
    inputs = fitted(upload).encode_inputs(upload.table, np.arange(4))
    assert inputs.shape == (4, 5)
    year, week = inputs[:, 1:3], inputs[:, 3:5]
    assert np.linalg.norm(year[0] - year[1]) < 0.05
    assert np.linalg.norm(year[0] - year[2]) > 1.9
    np.testing.assert_allclose(week[2], week[3], atol=1e-9)
    np.testing.assert_allclose(week[1], [0.0, 1.0], atol=1e-9)  # a week begins on Monday


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%d %B %Y"])
def test_rows_may_have_the_dataset_s_own_format(form: str) -> None:
    text = {
        "%d.%m.%Y": "31.01.2024 12:00",
        "%m/%d/%Y": "1/31/2024 12:00 PM",
        "%d %B %Y": "31 January 2024 12:00",
    }
    assert seconds_of(text[form], form) == seconds_of("2024-01-31T12:00Z", form) == 1_706_702_400.0
    assert seconds_of(text[form], "iso") is None


def test_moments_are_spelled_in_iso_8601() -> None:
    assert moment(0.0) == "1970-01-01"
    assert moment(DAY * 0.5) == "1970-01-01T12:00:00"
    assert moment(-0.5) == "1969-12-31T23:59:59.500000"


@pytest.mark.parametrize("value", [5, 2.5, True, "soon", "2024-02-30", "x" * 10_000, ["2024-01-01"]])
def test_what_is_no_date_is_refused(read: Read, value: object) -> None:
    upload = read("d,y\n2023-12-31,1\n2024-01-01,2\n2024-07-01,3\n")
    with pytest.raises(Invalid) as caught:
        fitted(upload).encode_rows([{"d": value}])
    assert caught.value.faults[0].param == "rows[0].d"


def test_an_indicator_is_the_last_input() -> None:
    inputs = [0.0] * 6
    DateFeature("d", 5.0, 5.0, 1.0, False, indicator="active").encode_one(None, inputs, 0)
    assert inputs == [0.0] * 5 + [1.0]


def test_booleans_may_be_words_in_rows(read: Read) -> None:
    upload = read("d,y\nyes,1\nno,2\nyes,3\n")
    encoding = fitted(upload)
    assert encoding.to_json()["features"][0]["categories"] == ("no", "yes")
    assert Encoding.from_json(encoding.to_json()) == encoding
    inputs, _ = encoding.encode_rows([{"d": each} for each in ("yes", "No", True, False, None, "NA", "t")])
    assert inputs[:, 0].tolist() == [1, 0, 1, 0, 1, 1, 1]
    with pytest.raises(Invalid):
        encoding.encode_rows([{"d": "maybe"}])
