"""Tensors out: what has no answer says so in both forms."""

import json

import numpy as np
import pytest

from app.models.warm import Loaded
from app.open_inference import service
from tests.support.portable import CLASSES, loaded, network_of

NAMES = {"length": "FP64", "island": "BYTES", "wild": "BYTES", "mass": "FP64"}


@pytest.fixture
def model() -> Loaded:
    """Whose outputs are not finite where ``length`` is large."""
    made = loaded(network_of(CLASSES, "relu"))
    made.parameters.W[1][...] = np.float32(1e20)
    made.parameters.W[2][...] = np.float32(1e20)
    return made


def asked(model: Loaded, **parameters: bool) -> service.Asked:
    values = {"length": [-1e9, 1e9], "island": ["Biscoe"] * 2, "wild": ["no"] * 2, "mass": [4000.0] * 2}
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": kind, "data": values[name]}
        for name, kind in NAMES.items()
    ]
    return service.read(model, json.dumps({"inputs": inputs, "parameters": parameters}).encode(), None, 10)


def test_what_is_not_finite_is_null_and_has_no_label(model: Loaded) -> None:
    answer = json.loads(service.answer(model, asked(model)).content)
    found = {each["name"]: each["data"] for each in answer["outputs"]}
    assert found["label"][0] in (CLASSES.classes or ())
    assert found["label"][1] == ""
    assert None not in found["probabilities"][:3]
    assert found["probabilities"][3:] == [None] * 3


def test_in_binary_it_is_nan_and_an_empty_text(model: Loaded) -> None:
    answered = service.answer(model, asked(model, binary_data_output=True))
    assert answered.header_size is not None
    rest = answered.content[answered.header_size :]
    shares = np.frombuffer(rest[:24], "<f4").reshape(2, 3)
    assert np.isfinite(shares[0]).all()
    assert np.isnan(shares[1]).all()
    assert rest[-4:] == bytes(4)  # the length of the last label
