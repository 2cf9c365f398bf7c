"""A model as one SELECT in SQLite's SQL, over a table with the raw columns."""

from collections.abc import Sequence
from typing import Any

from app.exports.recipe import Input, Unportable, inputs_of
from app.exports.sql_forms import ACTIVATIONS, encoded, identifier, largest, number, text, total
from app.exports.vectors import Network

TABLE = "input"
MOST_PARAMETERS = 20_000
MOST_COLUMNS = 1_900
"""A table has 2,000."""

HEAD = f"""\
-- A trained network as one SELECT, for SQLite 3.35 or newer with its mathematical functions.
-- It reads the table, or view, "{TABLE}", and answers with its raw columns, then the prediction.
-- A value is missing where it is NULL, or a word that uploads take for that; text that spells a number is that
-- number. What no prediction can be made for, as another text in its place, has the prediction NULL.
"""


class Statement:
    """Tables that are made one from the other, with the raw columns in each as r0, r1, …

    They are MATERIALIZED: SQLite would put the sums of one layer into each of those of the next.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        raw = [f"{identifier(each.name)} AS r{k}" for k, each in enumerate(inputs)]
        self._tables = [f"raw AS MATERIALIZED (SELECT {', '.join(raw)} FROM {identifier(TABLE)})"]
        self._raw = [f"r{k}" for k in range(len(inputs))]
        self._names = [identifier(each.name) for each in inputs]
        self.last = "raw"

    def add(self, name: str, *expressions: str) -> None:
        """A table of the last one's raw columns and these."""
        selected = ", ".join([*self._raw, *expressions])
        self._tables.append(f"{name} AS MATERIALIZED (SELECT {selected} FROM {self.last})")
        self.last = name

    def select(self, answers: Sequence[str]) -> str:
        named = [f"{raw} AS {name}" for raw, name in zip(self._raw, self._names, strict=True)]
        tables = ",\n".join(self._tables)
        return f"{HEAD}WITH\n{tables}\nSELECT {', '.join([*named, *answers])}\nFROM {self.last};\n"


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


def _check(network: Network, inputs: Sequence[Input]) -> None:
    count = network.architecture.parameter_count
    if count > MOST_PARAMETERS:
        raise Unportable(f"SQL takes networks of up to {MOST_PARAMETERS} parameters; this one has {count}.")
    widest = 2 * max(network.architecture.s.values()) + len(inputs)
    if widest > MOST_COLUMNS:
        raise Unportable(f"Half of SQLite's {MOST_COLUMNS} columns are fewer than this network's widest layer.")
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
