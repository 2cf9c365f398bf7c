"""Encoded rows to a network's outputs, and these to numbers that are answers: in the API and its children."""

from typing import Protocol

import numpy as np

from app.datasets.encoding import Encoding
from app.datasets.features import Floats
from app.engine import Architecture, Array, Parameters
from app.engine import predict as forward
from app.models.evaluation import BLOCK, outputs_of, probabilities


class Answering(Protocol):
    """What answers depend on, of a model."""

    @property
    def architecture(self) -> Architecture: ...
    @property
    def parameters(self) -> Parameters: ...
    @property
    def encoding(self) -> Encoding: ...


def compute(model: Answering, x: Floats) -> Array:
    """h(x) of (4) for encoded rows x (k, s_1), in the model's dtype: (k, s_n), finite or not."""
    forward_all = forward if len(x) <= BLOCK else outputs_of
    with np.errstate(all="ignore"):
        outputs: Array = forward_all(
            model.architecture, model.parameters, x.astype(model.parameters.flat.dtype, copy=False)
        )
    return outputs


def shares(model: Answering, outputs: Array) -> Array:
    """Probabilities by class (k, s_n) of a classifier's outputs."""
    if model.architecture.layers[-1].activation == "softmax":
        return outputs
    return probabilities(outputs)


def values(model: Answering, outputs: Array) -> Array:
    """Answers as a matrix: probabilities (k, classes), or predictions (k, targets) in the targets' units."""
    return model.encoding.unscale(outputs) if model.encoding.classes is None else shares(model, outputs)
