"""Predictors of one file, in Python and in JavaScript: a program that is always the same, and its data.

The data are JSON inside a string of the language's own: nothing of a client's is ever part of the program.
"""

import base64
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.normal import tail_coefficients
from app.exports.recipe import inputs_of, plain
from app.exports.vectors import Answers, Network, Vectors

PYTHON = f"Python {platform.python_version()}"
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


def run_python(program: str, network: Network, rows: list[dict[str, Any]]) -> Answers:
    """What a predictor in Python answers. For a process with nothing to lose: the program is run."""
    names: dict[str, Any] = {"__name__": "predictor"}
    exec(compile(program, "predictor.py", "exec"), names)  # noqa: S102 # nosec B102 (we have just written it)
    found = names["predict"](rows)
    answers = [each["prediction"] for each in found]
    if network.encoding.classes is not None:
        return Answers(answers, _matrix([[*each["probabilities"].values()] for each in found]))
    single = len(network.encoding.targets) == 1
    return Answers(None, _matrix([[each] if single else [*each.values()] for each in answers]))


def _matrix(rows: list[list[float | None]]) -> NDArray[np.float64]:
    return np.array([[np.nan if each is None else each for each in row] for row in rows], np.float64)


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
        "targets": [asdict(each) for each in encoding.targets],
        "vectors": {
            "rows": vectors.rows[:STORED_ROWS],
            "answers": vectors.answers[:STORED_ROWS].tolist(),
            "tolerance": vectors.tolerance[:STORED_ROWS].tolist(),
        },
    }


def _bytes(array: Any) -> str:
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def _literal(document: dict[str, Any]) -> str:
    """JSON text as a string of both languages: printable ASCII, and no end of a script tag."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return json.dumps(text).replace("<", "\\u003c")
