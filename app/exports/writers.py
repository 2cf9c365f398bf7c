"""Each format is written, tried on rows whose answers are known, and only then handed out. Not for the
API's own process: what it imports is large, and what it runs has limits there.
"""

import io
import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import onnx

from app.engine import Parameters
from app.exports import onnx_model, onnx_runtime, scripts, sql, tensors
from app.exports.formats import FORMATS
from app.exports.recipe import Unportable, inputs_of
from app.exports.vectors import Answers, Network, Vectors, differing, draw

Json = dict[str, Any]
Write = Callable[[Network, Vectors], bytes]
Prove = Callable[[bytes, Network, Vectors], str]

SEED = 20_260
NONE = "not run here"


class Differs(Exception):
    """An export does not say what the model says; the message names the row."""


def written(name: str, document: Json, network: Network) -> tuple[bytes, str]:
    """The file, and how it was tried. Raises Unportable or Differs."""
    count, most = network.architecture.parameter_count, FORMATS[name].most_parameters
    if count > most:
        raise Unportable(f"This format takes up to {most} parameters; the model has {count}.")
    if name in TENSORS:
        write, found = TENSORS[name]
        content = write(document, network.parameters)
        return content, _same_bits(network, found(content))
    vectors = draw(network, SEED)
    program, prove = PROGRAMS[name]
    content = program(network, vectors)
    return content, prove(content, network, vectors)


def _compare(by: str, vectors: Vectors, found: Answers) -> str:
    if wrong := differing(vectors, found):
        raise Differs(
            f"In {by}, {len(wrong)} of {len(vectors.rows)} rows come out differently; "
            f"the first is row {wrong[0]}, {_told(vectors.rows[wrong[0]])}."
        )
    return f"{len(vectors.rows)} rows in {by}"


def _told(row: Json) -> str:
    """A drawn row, or the beginning of it."""
    return json.dumps(row, ensure_ascii=False)[:500]


def _same_bits(network: Network, found: dict[str, Any]) -> str:
    """Raise Differs unless the tensors are the model's."""
    ours = network.parameters
    pairs = [(found[f"W{l}"], found[f"b{l}"]) for l in range(1, network.architecture.n)]
    if Parameters.of(network.architecture, pairs, ours.flat.dtype).sha256() != ours.sha256():
        raise Differs("The parameters that are read back are others.")
    return "read back, bit for bit"


def _read_npz(content: bytes) -> Json:
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)


def _read_json(content: bytes) -> Json:
    layers = enumerate(json.loads(content)["parameters"], 1)
    return {f"{letter}{l}": each[letter] for l, each in layers for letter in "Wb"}


def _run_onnx(content: bytes, network: Network, vectors: Vectors) -> str:
    onnx.checker.check_model(content, full_check=True)
    found = onnx_runtime.run(content, inputs_of(network.encoding), vectors.rows)
    return _compare(f"onnxruntime {metadata.version('onnxruntime')}", vectors, found)


TENSORS: dict[str, tuple[Callable[[Json, Parameters], bytes], Callable[[bytes], Json]]] = {
    "safetensors": (tensors.safetensors, tensors.tensors_of),
    "npz": (tensors.npz, _read_npz),
    "json": (tensors.text, _read_json),
}
"""How they are written, and how their tensors are read back."""

PROGRAMS: dict[str, tuple[Write, Prove]] = {
    "onnx": (lambda network, _: onnx_model.dump(network), _run_onnx),
    "python": (
        lambda network, vectors: scripts.python(network, vectors).encode(),
        lambda content, network, vectors: _compare(
            scripts.PYTHON, vectors, scripts.run_python(content.decode(), network, vectors.rows)
        ),
    ),
    # A server has no JavaScript engine. The program is the same for every model; our tests run it in Node.
    "javascript": (
        lambda network, vectors: scripts.javascript(network, vectors).encode(),
        lambda _, __, ___: NONE,
    ),
    "sql": (
        lambda network, _: sql.select(network).encode(),
        lambda content, network, vectors: _compare(
            sql.SQLITE, vectors, sql.run(content.decode(), network, vectors.rows)
        ),
    ),
}
"""How they are written, and how they are run on rows whose answers are known."""
