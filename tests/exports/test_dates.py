"""Dates that go home: in each program's own way of writing them, the moment that the server takes."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.datasets.date_features import DateFeature
from app.datasets.encoding import Encoding, Target
from app.datasets.moments import FORMATS, seconds_of
from app.errors import Invalid
from app.exports import scripts, sql
from app.exports.vectors import Network, differing, draw
from tests.exports.test_programs import scripts_in_node
from tests.support.portable import network_of

ISO = [
    "2024-02-29",
    "1969-12-31T23:59:59.5",
    "2024-01-31 10:30",
    " 2024-01-31T10:30:00+02:00",
    "2024-01-31T10:30:00-0130",
    "2024-01-31T10:30Z",
    "2024-01-31 10:30:15 UTC",
    "0099-03-01",
]
NONE = ["2023-02-29", "2024-13-01", "2024-01-31T24:30", "2024-1-31", "yesterday", "31.01"]
SPELLED = {
    "%Y/%m/%d": ["2024/2/29", "2024/01/31 10:30"],
    "%d.%m.%Y": ["29.02.2024", "1.2.2003 10:30:15"],
    "%d-%b-%Y": ["31-Jan-2024", "1-DEC-1999 1:05 PM"],
    "%d %b %Y": ["31 Jan 2024", "05 may 2024 12:05 AM"],
    "%d %B %Y": ["31 January 2024", "01 August 1969 23:59:59.25"],
    "%b %d, %Y": ["Jan 31, 2024"],
    "%B %d, %Y": ["January 31, 2024 11:59:30 pm"],
    "%d/%m/%Y": ["03/04/2024"],
    "%m/%d/%Y": ["03/04/2024"],
    "%d-%m-%Y": ["03-04-2024"],
    "%m-%d-%Y": ["03-04-2024"],
    "%d.%m.%y": ["31.12.69", "1.2.03 10:30:15"],
    "%d-%b-%y": ["31-Dec-68"],
    "%Y.%m.%d": ["2024.02.29"],
    "%d/%m/%y": ["03/04/24"],
    "%m/%d/%y": ["03/04/24 1:05 PM"],
    "%Y%m%d": ["20240131"],
}


def of(date_format: str) -> Network:
    feature = DateFeature("day", 1e9, 1e9, 1e8, times=True, date_format=date_format, indicator="active")
    return network_of(Encoding("regression", (feature,), (Target("y"),), None, ()), output="identity")


def said(network: Network, text: str) -> float | None:
    """What the server answers; None: it refuses the row."""
    try:
        x, _ = network.encoding.encode_rows([{"day": text}])
    except Invalid:
        return None
    from app.predictions.outputs import compute

    class Model:
        architecture, parameters, encoding = network.architecture, network.parameters, network.encoding

    return float(compute(Model(), x)[0, 0])


def in_python(network: Network, text: str) -> float | None:
    names: dict[str, Any] = {"__name__": "model"}
    exec(scripts.python(network, draw(network, 3)), names)
    try:
        answer: float = names["predict"]([{"day": text}])[0]["prediction"]
    except ValueError:
        return None
    return answer


def near(found: float | None, wanted: float | None) -> bool:
    """Both refused, or the same."""
    return found is wanted or (None not in (found, wanted) and found == pytest.approx(wanted, rel=1e-5))


def test_every_format_of_uploads_is_tried() -> None:
    assert {"iso", *SPELLED} == {*FORMATS}
    for form, texts in SPELLED.items():
        assert None not in [seconds_of(text, form) for text in texts]


@pytest.mark.parametrize("form", FORMATS)
def test_python_reads_what_the_server_reads(form: str) -> None:
    network = of(form)
    for text in [*ISO, *NONE, *SPELLED.get(form, ())]:
        assert near(in_python(network, text), said(network, text)), text


def test_node_reads_what_the_server_reads(tmp_path: Path) -> None:
    """Each text by a program of its own: those that are refused are `null`."""
    cases = [(of(form), text) for form in FORMATS for text in [*ISO[:2], *NONE, *SPELLED.get(form, ())]]
    cases += [(of("iso"), text) for text in ISO]
    made = [scripts.javascript(network, draw(network, 3)) for network, _ in cases]
    tolerant = (
        "export const predict = ([row]) => {"
        "  try { return [strict([row])[0].prediction]; } catch { return [null]; }"
        "};"
    )
    programs = [
        each.replace("export const predict =", "const strict =").replace("predict([row])", "strict([row])")
        for each in made
    ]
    rows = [[{"day": text}] for _, text in cases]
    found = scripts_in_node(
        tmp_path, [(f"{each}\n{tolerant}\n", row) for each, row in zip(programs, rows, strict=True)]
    )
    for (network, text), ((answer,), wrong) in zip(cases, found, strict=True):
        assert wrong == []
        form = network.encoding.features[0].date_format  # type: ignore[union-attr]
        assert near(answer, said(network, text)), (form, text)


def test_sqlite_reads_iso_and_seconds() -> None:
    network = of("%d.%m.%Y")
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE input (day)")
    texts = [ISO[0], ISO[1], ISO[2], "2024-01-31T10:30:00+02:00", ISO[5]]
    rows: list[Any] = [*texts, None, "NA", 1_706_693_400, *NONE, "29.02.2024"]
    database.executemany("INSERT INTO input VALUES (?)", [(row,) for row in rows])
    found = [answer for _, answer in database.execute(sql.select(network))]
    database.close()
    wanted = [said(network, text) for text in [*texts, "", "", "2024-01-31T09:30"]]
    wanted += [None] * (len(NONE) + 1)
    pairs = zip(rows, found, wanted, strict=True)
    assert [row for row, *answers in pairs if not near(*answers)] == []


def test_sqlite_tells_seconds_of_any_century_apart() -> None:
    """A day number in float64 is off by forty microseconds."""
    feature = DateFeature("day", 4e10, 4e10, 1.0, times=False)
    network = network_of(Encoding("regression", (feature,), (Target("y"),), None, ()), output="identity")
    vectors = draw(network, 3)
    assert differing(vectors, sql.run(sql.select(network), network, vectors.rows)) == []


def test_python_3_10_is_enough(tmp_path: Path) -> None:
    """It has no `datetime.UTC`."""
    network = of("iso")
    (tmp_path / "model.py").write_text(scripts.python(network, draw(network, 3)))
    text = "2024-01-31T10:30:00+02:00"
    code = (
        "import datetime, json, sys; del datetime.UTC; sys.path.insert(0, '.'); import model; "
        f"print(json.dumps([model.verify(), model.predict([{{'day': '{text}'}}])]))"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    wrong, ((answer),) = json.loads(done.stdout)
    assert wrong == []
    assert answer["prediction"] == pytest.approx(said(network, text), rel=1e-5)
