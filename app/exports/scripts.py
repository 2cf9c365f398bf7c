"""Predictors of one file, in Python and in JavaScript: a program of ours that is read once, and data beside it.

The data are JSON inside a string of the language's own: nothing of a client's is ever part of the program.
"""

import base64
import json
from pathlib import Path
from typing import Any

from app.engine.normal import tail_coefficients
from app.exports.recipe import inputs_of, plain
from app.exports.vectors import Network, Vectors

HERE = Path(__file__).parent
STORED_ROWS = 16
"""Of the rows that it is tried on, those that a predictor takes along."""


def python(network: Network, vectors: Vectors) -> str:
    """The text of a module. Raises Unportable."""
    program = (HERE / "predictor.py").read_text()
    return program.replace('json.loads("{}")', f"json.loads({_literal(data(network, vectors))})", 1)


def javascript(network: Network, vectors: Vectors) -> str:
    """The text of an ES module. Raises Unportable."""
    program = (HERE / "predictor.mjs").read_text()
    program = program.replace("const TAIL = []", f"const TAIL = {json.dumps(tail_coefficients())}", 1)
    return program.replace('JSON.parse("{}")', f"JSON.parse({_literal(data(network, vectors))})", 1)


def data(network: Network, vectors: Vectors) -> dict[str, Any]:
    """All of the model that a predictor reads, as JSON values."""
    encoding, layers = network.encoding, network.architecture.layers
    pairs = network.parameters.pairs()
    return {
        "dtype": str(network.parameters.flat.dtype),
        "sha256": network.parameters.sha256(),
        "inputs": plain(inputs_of(encoding)),
        "layers": [
            {"W": _bytes(W), "b": _bytes(b), "activation": layer.activation}
            for layer, (W, b) in zip(layers, pairs, strict=True)
        ],
        "classes": None if encoding.classes is None else list(encoding.classes),
        "targets": [{"name": each.name, "offset": each.offset, "scale": each.scale} for each in encoding.targets],
        "vectors": {
            "rows": vectors.rows[:STORED_ROWS],
            "answers": vectors.answers[:STORED_ROWS].tolist(),
            "tolerance": vectors.tolerance[:STORED_ROWS].tolist(),
        },
    }


def _bytes(array: Any) -> str:
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def _literal(document: dict[str, Any]) -> str:
    """JSON text as a string of Python and of JavaScript alike, in printable ASCII, and no end of a script tag."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return json.dumps(text).replace("<", "\\u003c")
