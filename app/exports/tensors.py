"""A model's tensors and its document in one file: safetensors, NPZ, or JSON whose floats are exact."""

import io
import json
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app.engine import Parameters

Json = dict[str, Any]

DOCUMENT = "chainrule"
"""The key of safetensors' metadata, and the array of an NPZ, that has the document as JSON."""


def safetensors(document: Json, parameters: Parameters) -> bytes:
    """W1, b1, W2, … and the document; what other programs may look for is beside it, by name."""
    beside = ("sha256", "task", "architecture", "encoding", "classes")
    metadata = {name: _text(document[name]) for name in beside if document[name] is not None}
    return save_tensors(_tensors(parameters), {DOCUMENT: _text(document), **metadata})


def npz(document: Json, parameters: Parameters) -> bytes:
    """The same arrays; the document is a text without dimensions."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **_tensors(parameters), **{DOCUMENT: np.array(_text(document))})
    return file.getvalue()


def text(document: Json, parameters: Parameters) -> bytes:
    """JSON: the document and, in "parameters", a W and a b for each layer."""
    pairs = [{"W": W.tolist(), "b": b.tolist()} for W, b in parameters.pairs()]
    return json.dumps({**document, "parameters": pairs}, allow_nan=False).encode()


def tensors_of(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """By name, of a safetensors file."""
    return dict(load_tensors(content))


def _tensors(parameters: Parameters) -> dict[str, np.ndarray[Any, Any]]:
    pairs = enumerate(parameters.pairs(), 1)
    return {f"{letter}{l}": array for l, pair in pairs for letter, array in zip("Wb", pair, strict=True)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)
