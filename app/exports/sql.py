"""A model as one SELECT in SQLite's SQL, over a table with the raw columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.exports.recipe import Input, Unportable, inputs_of
from app.exports.sql_forms import ACTIVATIONS, encoded, identifier, largest, number, text, total
from app.exports.vectors import Answers, Network

try:
    import pysqlite3 as sqlite3
except ImportError:  # where there is no wheel of it
    import sqlite3

SQLITE = f"SQLite {sqlite3.sqlite_version}"
TABLE = "input"
MOST_COLUMNS = 1_900
"""A table has 2,000."""

HEAD = f"""\
-- A trained network as one SELECT, for SQLite 3.35 or newer with its mathematical functions.
-- It reads the table, or view, "{TABLE}", and answers with its raw columns, then the prediction.
-- A value is missing where it is NULL, or a word that uploads take for that; text that spells a number is
-- that number. What no prediction can be made for, as another text there, has the prediction NULL.
"""


class Statement:
    """Tables that are made one from the other, with the raw columns in each as r0, r1, …

    They are MATERIALIZED: SQLite would put the sums of one layer into each of those of the next.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        # With the table, or SQLite takes the name of a column that is not there for a text.
        table = identifier(TABLE)
        raw = [f"{table}.{identifier(each.name)} AS r{k}" for k, each in enumerate(inputs)]
        self._tables = [_table("raw", raw, table)]
        self._raw = [f"r{k}" for k in range(len(inputs))]
        self._names = [identifier(each.name) for each in inputs]
        self.last = "raw"

    def add(self, name: str, *expressions: str) -> None:
        """A table of the last one's raw columns and these."""
        self._tables.append(_table(name, [*self._raw, *expressions], self.last))
        self.last = name

    def select(self, answers: Sequence[str]) -> str:
        named = [f"{raw} AS {name}" for raw, name in zip(self._raw, self._names, strict=True)]
        tables = ",\n".join(self._tables)
        return f"{HEAD}WITH\n{tables}\nSELECT {', '.join([*named, *answers])}\nFROM {self.last};\n"


def _table(name: str, expressions: Sequence[str], source: str) -> str:
    return f"{name} AS MATERIALIZED (SELECT {', '.join(expressions)} FROM {source})"  # noqa: S608 # nosec B608


def select(network: Network) -> str:
    """The statement. Raises Unportable for a network that is too large, or names that SQL has not."""
    inputs = inputs_of(network.encoding)
    _check(network, inputs)
    statement = Statement(inputs)
    x = [form for k, each in enumerate(inputs) for form in encoded(each, f"r{k}")]
    statement.add("a1", *_numbered(x, "a"))
    pairs = network.parameters.pairs()
    for l, (layer, (W, b)) in enumerate(zip(network.architecture.layers, pairs, strict=True), 2):
        z = [_neuron(weights, bias) for weights, bias in zip(W, b, strict=True)]
        statement.add(f"z{l}", *_numbered(z, "z"))
        if layer.activation == "softmax":
            _softmax(statement, l, len(b))
        else:
            form = ACTIVATIONS[layer.activation]
            statement.add(f"a{l}", *_numbered([form.format(z=f"z{i}") for i in range(len(b))], "a"))
    if network.encoding.classes is None:
        return statement.select(_numbers(network))
    return statement.select(_classes(statement, network, network.encoding.classes))


def run(statement: str, network: Network, rows: list[dict[str, Any]]) -> Answers:
    """What the statement answers in the SQLite of this process."""
    names = [each.name for each in network.encoding.features]
    connection = sqlite3.connect(":memory:")
    try:
        columns = ", ".join(map(identifier, names))
        connection.execute(f"CREATE TABLE {identifier(TABLE)} ({columns})")
        places = ", ".join("?" * len(names))
        values = [[row[name] for name in names] for row in rows]
        connection.executemany(f"INSERT INTO {identifier(TABLE)} VALUES ({places})", values)  # noqa: S608 # nosec B608
        found = [row[len(names) :] for row in connection.execute(statement)]
    finally:
        connection.close()
    labels = None if network.encoding.classes is None else [row[0] for row in found]
    numbers = [[*row] if labels is None else [*row[1:]] for row in found]
    return Answers(labels, np.array(numbers, np.float64).reshape(len(found), -1))


def _check(network: Network, inputs: Sequence[Input]) -> None:
    widest = 2 * max(network.architecture.s.values()) + len(inputs)
    if widest > MOST_COLUMNS:
        raise Unportable(f"With SQLite's {MOST_COLUMNS} columns, this network's widest layer is too wide.")
    seen: set[str] = set()
    for each in inputs:
        folded = "".join(letter.lower() if letter.isascii() else letter for letter in each.name)
        if folded in seen:
            raise Unportable("SQL does not tell apart two columns whose names differ in case alone.")
        seen.add(folded)


def _numbered(expressions: Sequence[str], letter: str) -> list[str]:
    return [f"{each} AS {letter}{i}" for i, each in enumerate(expressions)]


def _all(letter: str, count: int) -> list[str]:
    return [f"{letter}{i}" for i in range(count)]


def _neuron(weights: Any, bias: Any) -> str:
    return total([*(f"{number(w)} * a{j}" for j, w in enumerate(weights)), number(bias)])


def _softmax(statement: Statement, l: int, count: int) -> None:
    z, e = _all("z", count), _all("e", count)
    statement.add(f"m{l}", *z, f"{largest(z)} AS m")
    statement.add(f"e{l}", *_numbered([f"exp(max({each} - m, -700.0))" for each in z], "e"))
    statement.add(f"t{l}", *e, f"{total(e)} AS t")
    statement.add(f"a{l}", *_numbered([f"{each} / t" for each in e], "a"))


def _numbers(network: Network) -> list[str]:
    targets = network.encoding.targets
    names = ["prediction"] if len(targets) == 1 else [f"prediction_{each.name}" for each in targets]
    return [
        f"a{i} * {number(each.scale)} + {number(each.offset)} AS {identifier(name)}"
        for i, (each, name) in enumerate(zip(targets, names, strict=True))
    ]


def _classes(statement: Statement, network: Network, classes: Sequence[str]) -> list[str]:
    count = len(classes)
    a, q, p = _all("a", count), _all("q", count), _all("p", count)
    shares = a
    if network.architecture.layers[-1].activation != "softmax":  # these need not add up to 1
        statement.add("positive", *a, *_numbered([f"max({each}, 0.0)" for each in a], "q"))
        statement.add("summed", *a, *q, f"{total(q)} AS t")
        even = number(1 / count)
        scaled = f"CASE WHEN t <= 0 THEN {even} WHEN abs(t - 1) > 1e-4 THEN {{0}} / t ELSE {{0}} END"
        statement.add("shares", *a, *_numbered([scaled.format(each) for each in q], "p"))
        shares = p
    statement.add("best", *dict.fromkeys([*a, *shares]), f"{largest(a)} AS top")
    named = " ".join(f"WHEN {each} THEN {text(name)}" for each, name in zip(a, classes, strict=True))
    probabilities = [
        f"{each} AS {identifier(f'probability_{name}')}" for each, name in zip(shares, classes, strict=True)
    ]
    return [f"CASE top {named} END AS prediction", *probabilities]
