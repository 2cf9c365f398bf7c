"""Parameters as safetensors, under the paper's names: W1, b1, W2, b2, …"""

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app.engine import Architecture, Parameters


def dump(parameters: Parameters) -> bytes:
    """W^(l) as (s_{l+1}, s_l) and b^(l) as (s_{l+1},), in the dtype of the training."""
    tensors = {}
    for l, (W, b) in enumerate(parameters.pairs(), 1):
        tensors[f"W{l}"], tensors[f"b{l}"] = np.ascontiguousarray(W), np.ascontiguousarray(b)
    return save_tensors(tensors)


def load(architecture: Architecture, content: bytes) -> Parameters:
    """What `dump` wrote."""
    tensors = load_tensors(content)
    pairs = [(tensors[f"W{l}"], tensors[f"b{l}"]) for l in range(1, architecture.n)]
    return Parameters.of(architecture, pairs, tensors["W1"].dtype)
