"""What an encoding does with raw columns, in ONNX: named columns in, the network's inputs out."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from app.datasets.table import MISSING_WORDS
from app.exports.onnx_graph import DOUBLE, KINDS, STRING, Graph
from app.exports.recipe import BooleanInput, CategoryInput, DateInput, Input, NumberInput, width_of

WORDS = ("false", "true")

Block = tuple[str, list[int]]
"""A result (N, k) in the network's dtype, and which of the network's inputs its columns are."""


def types_of(inputs: Sequence[Input]) -> dict[str, int]:
    """By column: numbers as double, dates too, as seconds since 1970; everything else as string."""
    wide = NumberInput | DateInput
    return {each.name: DOUBLE if isinstance(each, wide) else STRING for each in inputs}


def encode(graph: Graph, inputs: Sequence[Input]) -> str:
    """x (N, s_1). Numbers go through it side by side, since a model may have thousands of them."""
    blocks: list[Block] = []
    numbers: list[NumberInput] = []
    places: list[int] = []
    start = 0
    for each in inputs:
        span = list(range(start, start + each.own))
        start += width_of(each)
        if each.indicator != "none":
            blocks.append((_indicator(graph, each), [start - 1]))
        match each:
            case NumberInput():
                numbers.append(each)
                places += span
            case BooleanInput():
                blocks.append((_boolean(graph, each), span))
            case CategoryInput():
                blocks.append((_category(graph, each), span))
            case DateInput():
                blocks.append((_date(graph, each), span))
    if numbers:
        blocks.insert(0, (_numbers(graph, numbers), places))
    x = graph.node("Concat", *(name for name, _ in blocks), axis=1)
    order = [place for _, span in blocks for place in span]
    if order == list(range(start)):
        return x
    return graph.node("Gather", x, graph.constant(np.argsort(order), np.int64), axis=1)


def _indicator(graph: Graph, each: Input) -> str:
    if isinstance(each, NumberInput | DateInput):
        found = graph.node("IsNaN", each.name)
    else:
        slots = each.slots if isinstance(each, CategoryInput) else ()
        found = _is_one_of(graph, each.name, [word for word in _missing_words() if word not in slots])
    active = graph.constant([[1.0 if each.indicator == "active" else 0.0]])
    return graph.node("Where", found, active, graph.constant([[0.0]]))


def _numbers(graph: Graph, columns: Sequence[NumberInput]) -> str:
    def row(values: Sequence[float]) -> str:
        return graph.constant([values], np.float64)

    raw = graph.node("Concat", *(each.name for each in columns), axis=1)
    known = graph.node("Where", graph.node("IsNaN", raw), row([each.missing for each in columns]), raw)
    centred = graph.node("Sub", known, row([each.offset for each in columns]))
    scaled = graph.node("Div", centred, row([each.scale for each in columns]))
    return graph.cast(scaled, KINDS[graph.dtype])


def _boolean(graph: Graph, column: BooleanInput) -> str:
    """NaN for what is neither true nor false nor missing: no answer rather than a wrong one."""
    is_missing = _is_one_of(graph, column.name, _missing_words())
    other = graph.node("Where", is_missing, graph.constant([[column.missing]]), graph.constant([[np.nan]]))
    for value, word in enumerate(column.words):
        said = _is_one_of(graph, column.name, sorted({word, WORDS[value]}))
        other = graph.node("Where", said, graph.constant([[float(value)]]), other)
    return other


def _date(graph: Graph, column: DateInput) -> str:
    def number(value: float) -> str:
        return graph.constant([[value]], np.float64)

    is_missing = graph.node("IsNaN", column.name)
    known = graph.node("Where", is_missing, number(column.missing), column.name)
    columns = [
        graph.node("Div", graph.node("Sub", known, number(column.offset)), number(column.scale)),
    ]
    for length, shift in column.cycles:
        angle = graph.node("Mul", graph.node("Sub", known, number(shift)), number(math.tau / length))
        for quarter in (0.0, math.tau / 4):  # a cosine is a sine a quarter later
            wave = graph.node("Sin", graph.node("Add", angle, number(quarter)))
            columns.append(graph.node("Where", is_missing, number(0.0), wave))
    return graph.cast(graph.node("Concat", *columns, axis=1), KINDS[graph.dtype])


def _category(graph: Graph, column: CategoryInput) -> str:
    """One-hot by spelling: each word has a row of a table, and words that are none add up to 0."""
    words = list(column.slots)
    rows = [_unit(column.own, column.slots[word]) for word in words]
    if column.missing is not None:
        further = [word for word in _missing_words() if word not in column.slots]
        words += further
        rows += [_unit(column.own, column.missing)] * len(further)
    if not words:
        words, rows = [""], [_unit(column.own, None)]
    found = graph.node("Equal", column.name, graph.words(words))
    hot = graph.cast(found, KINDS[graph.dtype])
    if column.unknown is not None:
        nobody = graph.cast(graph.node("Not", _any(graph, found)), KINDS[graph.dtype])
        hot = graph.node("Concat", hot, nobody, axis=1)
        rows.append(_unit(column.own, column.unknown))
    if np.array_equal(rows, np.eye(len(rows))):
        return hot
    return graph.node("MatMul", hot, graph.constant(rows))


def _unit(width: int, place: int | None) -> list[float]:
    return [1.0 if slot == place else 0.0 for slot in range(width)]


def _is_one_of(graph: Graph, name: str, words: Sequence[str]) -> str:
    return _any(graph, graph.node("Equal", name, graph.words(words)))


def _any(graph: Graph, found: str) -> str:
    counted = graph.node("ReduceMax", graph.cast(found, KINDS[graph.dtype]), graph.constant([1], np.int64))
    return graph.node("Greater", counted, graph.constant([[0.5]]))


def _missing_words() -> list[str]:
    """In every mixture of capitals and small letters, as uploads take them."""
    spelled = [product(*({letter, letter.upper()} for letter in word)) for word in MISSING_WORDS]
    return sorted("".join(letters) for each in spelled for letters in each)
