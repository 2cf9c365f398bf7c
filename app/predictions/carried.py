"""A model on its way into a child process: its bytes and a description, in a directory that both see."""

import json
from pathlib import Path
from typing import NamedTuple

from app.datasets.encoding import Encoding
from app.engine import Architecture, Layer, Parameters
from app.models import parameters as codec
from app.predictions.outputs import Answering

DESCRIBED, WEIGHTS = "model.json", "model.safetensors"


class Carried(NamedTuple):
    """All of a model that its answers depend on."""

    architecture: Architecture
    parameters: Parameters
    encoding: Encoding


def write(model: Answering, directory: Path) -> None:
    """Put the model there."""
    layers = [(each.units, each.activation) for each in model.architecture.layers]
    described = {"inputs": model.architecture.inputs, "layers": layers, "encoding": model.encoding.to_json()}
    (directory / DESCRIBED).write_text(json.dumps(described))
    (directory / WEIGHTS).write_bytes(codec.dump(model.parameters))


def read(directory: Path) -> Carried:
    """What `write` put there."""
    described = json.loads((directory / DESCRIBED).read_text())
    layers = tuple(Layer(units, activation) for units, activation in described["layers"])
    architecture = Architecture(described["inputs"], layers)
    parameters = codec.load(architecture, (directory / WEIGHTS).read_bytes())
    return Carried(architecture, parameters, Encoding.from_json(described["encoding"]))
