"""A model as ONNX: named raw columns in, (N, 1) each; a label and probabilities, or predictions, out."""

import json

import numpy as np

from app.engine.normal import FURTHEST, tail_coefficients
from app.exports.onnx_encoding import encode, types_of
from app.exports.onnx_graph import DOUBLE, KINDS, STRING, Graph
from app.exports.recipe import Unportable, inputs_of
from app.exports.vectors import Network

OUTPUTS = ("label", "probabilities", "predictions")
MOST_BYTES = 2**31 - 2**20
"""Protobuf takes no more."""


def dump(network: Network) -> bytes:
    """The file. Raises Unportable for one that ONNX cannot hold."""
    inputs = inputs_of(network.encoding)
    parameters = network.parameters
    if parameters.flat.nbytes > MOST_BYTES:
        raise Unportable("ONNX takes no file of 2 GiB or more.")
    types = types_of(inputs)
    if clash := sorted(set(types) & set(OUTPUTS)):
        raise Unportable(f"In ONNX '{clash[0]}' is the name of an output: no column can have it.")
    graph = Graph(parameters.flat.dtype, [*types])
    a = x = encode(graph, inputs)
    pairs = parameters.pairs()
    for layer, (W, b) in zip(network.architecture.layers, pairs, strict=True):
        z = graph.node("Gemm", a, graph.constant(W), graph.constant(b), transB=1)
        a = _activation(graph, layer.activation, z)
    # x − x is 0 but where a value is no value: there is no answer then, whatever f makes of it.
    a = graph.node("Add", a, _rest(graph, x))
    encoding = network.encoding
    outputs: dict[str, tuple[int, int]]
    if encoding.classes is None:
        wide = graph.cast(a, DOUBLE)
        scaled = graph.node("Mul", wide, graph.constant([[t.scale for t in encoding.targets]], np.float64))
        offsets = graph.constant([[t.offset for t in encoding.targets]], np.float64)
        graph.node("Add", scaled, offsets, out="predictions")
        outputs = {"predictions": (DOUBLE, len(encoding.targets))}
    else:
        _label(graph, a, encoding.classes)
        _shares(graph, a, len(encoding.classes), network.architecture.layers[-1].activation == "softmax")
        outputs = {"label": (STRING, 1), "probabilities": (KINDS[graph.dtype], len(encoding.classes))}
    return graph.model(types, outputs, _notes(network))


def _notes(network: Network) -> dict[str, str]:
    encoding = network.encoding
    notes = {"sha256": network.parameters.sha256(), "task": encoding.task}
    if encoding.classes is not None:
        notes["classes"] = json.dumps(encoding.classes)
    notes["targets"] = json.dumps([each.name for each in encoding.targets])
    return notes


def _label(graph: Graph, a: str, classes: tuple[str, ...]) -> None:
    """The class of the greatest output; "" where one of them is not finite."""
    best = graph.node("ArgMax", a, axis=1, keepdims=1)
    flat = graph.node("Reshape", graph.words(classes), graph.constant([len(classes)], np.int64))
    named = graph.node("Gather", flat, best, axis=0)
    is_none = graph.node("IsNaN", _rest(graph, a))
    graph.node("Where", is_none, graph.words([""]), named, out="label")


def _rest(graph: Graph, a: str) -> str:
    """(N, 1): 0, or NaN for rows with a number that is not finite."""
    return graph.node("ReduceSum", graph.node("Sub", a, a), graph.constant([1], np.int64))


def _shares(graph: Graph, a: str, count: int, is_softmax: bool) -> None:
    """Rows that add up to 1: outputs of softmax do, others are clipped and scaled."""
    rest = _rest(graph, a)
    if is_softmax:
        graph.node("Add", a, rest, out="probabilities")
        return
    positive = graph.node("Max", a, graph.constant(0.0))
    total = graph.node("ReduceSum", positive, graph.constant([1], np.int64))
    off = graph.node("Abs", graph.node("Sub", total, graph.constant(1.0)))
    is_off = graph.node("Greater", off, graph.constant(1e-4))
    some = graph.node("Where", is_off, graph.node("Div", positive, total), positive)
    none = graph.node("LessOrEqual", total, graph.constant(0.0))
    shares = graph.node("Where", none, graph.constant(1 / count), some)
    graph.node("Add", shares, rest, out="probabilities")


def _activation(graph: Graph, name: str, z: str) -> str:
    """f(z), of operators that onnxruntime has in both dtypes."""
    match name:
        case "identity":
            return z
        case "sigmoid":
            return graph.node("Sigmoid", z)
        case "tanh":
            return graph.node("Tanh", z)
        case "relu":
            return graph.node("Max", z, graph.constant(0.0))
        case "leaky_relu":
            return graph.node("Max", z, graph.node("Mul", z, graph.constant(0.01)))
        case "elu":
            below = graph.node("Exp", graph.node("Min", z, graph.constant(0.0)))
            is_above = graph.node("Greater", z, graph.constant(0.0))
            return graph.node("Where", is_above, z, graph.node("Sub", below, graph.constant(1.0)))
        case "softplus":
            small = graph.node("Exp", graph.node("Neg", graph.node("Abs", z)))
            rest = graph.node("Log", graph.node("Add", graph.constant(1.0), small))
            return graph.node("Add", graph.node("Max", z, graph.constant(0.0)), rest)
        case "silu":
            return graph.node("Mul", z, graph.node("Sigmoid", z))
        case "gelu":
            return _gelu(graph, z)
        case "softmax":
            return graph.node("Softmax", z, axis=1)
    raise Unportable(f"ONNX does not know yet the activation '{name}'.")


def _gelu(graph: Graph, z: str) -> str:
    """max(z, 0) − t Q(t), t = |z|, with Q as the engine has it: onnxruntime's erf is for float32 alone."""
    t = graph.node("Min", graph.node("Abs", z), graph.constant(float(FURTHEST[graph.dtype.char])))
    rows = tail_coefficients()
    over, under = (graph.constant(first) for first in rows[0])
    for a, b in rows[1:]:
        over = graph.node("Add", graph.node("Mul", over, t), graph.constant(a))
        under = graph.node("Add", graph.node("Mul", under, t), graph.constant(b))
    half = graph.node("Mul", graph.node("Mul", t, t), graph.constant(-0.5))
    tail = graph.node("Mul", graph.node("Div", over, under), graph.node("Exp", half))
    return graph.node("Sub", graph.node("Max", z, graph.constant(0.0)), graph.node("Mul", t, tail))
