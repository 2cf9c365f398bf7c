"""Small networks of every kind of column, and models as files."""

import json
from typing import Any

import numpy as np

from app.datasets.date_features import DAY, DateFeature
from app.datasets.encoding import Encoding, Target
from app.datasets.features import BooleanFeature, CategoryFeature, Feature, NumberFeature
from app.engine import Architecture, Layer, initialise
from app.exports import tensors
from app.exports.vectors import Network
from app.models.warm import Loaded

Json = dict[str, Any]

FEATURES: tuple[Feature, ...] = (
    NumberFeature("length", 1.5, 1.0, 2.0),
    CategoryFeature("island", 2, ("Biscoe", "Dream", "Torgersen"), (True, False, True)),
    BooleanFeature("wild", 1),
    NumberFeature("mass", 4000.0, 4200.0, 800.0),
)
CLASSES = Encoding("classification", FEATURES, (Target("species"),), ("Adelie", "Gentoo", "é"), ("year",))
SEEN, BORN = 1_194_870_896.25, -86_400.0 * 200.5
"""Means of dates: of 2007, not a whole second, and of before 1970."""

MARKED = Encoding(
    "classification",
    (
        NumberFeature("length", 1.5, 1.0, 2.0, indicator="active"),
        CategoryFeature(
            "island",
            3,
            ("Biscoe", "Dream", "Skye", "Torgersen", "Ulva"),
            (True, False, True, True, True),
            indicator="active",
            rare=(False, False, True, False, True),
        ),
        CategoryFeature(
            "colony", 1, ("Avian", "Cormorant"), (True, True), indicator="silent", rare=(False, True)
        ),
        DateFeature("seen", SEEN, SEEN - DAY, 200 * DAY, times=True, indicator="active"),
        BooleanFeature("wild", 1, indicator="active", categories=("No", "Yes")),
        DateFeature("born", BORN, BORN, 3000 * DAY, False, "%d.%m.%Y"),
        DateFeature("ringed", BORN, BORN, 900 * DAY, False, "%b %d, %Y", indicator="silent"),
        NumberFeature("mass", 4000.0, 4200.0, 800.0, indicator="silent"),
    ),
    (Target("species"),),
    ("Adelie", "Gentoo", "é"),
    ("year",),
)
"""With indicators of missing values, rare categories that share an input, and dates."""

NUMBERS = Encoding("regression", FEATURES, (Target("y", 5.0, 3.0), Target("z", -1e4, 1e3)), None, ())
MARKED_NUMBERS = Encoding("regression", MARKED.features, NUMBERS.targets, None, ())


def network_of(
    encoding: Encoding = CLASSES,
    hidden: str = "tanh",
    output: str = "softmax",
    dtype: str = "float32",
    seed: int = 1,
) -> Network:
    """One hidden layer; biases are not 0."""
    layers = (Layer(7, hidden), Layer(encoding.output_width, output))
    architecture = Architecture(encoding.input_width, layers)
    parameters = initialise(architecture, seed, dtype)
    draw = np.random.default_rng(seed)
    for b in parameters.b.values():
        b[...] = 0.1 * draw.standard_normal(b.shape)
    return Network(encoding, architecture, parameters)


def loaded(network: Network, cost: str = "cross_entropy") -> Loaded:
    """As a server has it in memory."""
    return Loaded(
        id="mdl_x",
        dataset_id="ds_x",
        dataset_sha256="",
        task=network.encoding.task,
        training={"cost": cost},
        architecture=network.architecture,
        parameters=network.parameters,
        encoding=network.encoding,
    )


def document_of(network: Network, cost: str = "cross_entropy") -> Json:
    """What an export says of it."""
    encoding, layers = network.encoding, network.architecture.layers
    described = [
        {"units": each.units, "activation": each.activation, "initialization": "auto"} for each in layers
    ]
    return {
        "object": "model_export",
        "version": 1,
        "name": "small",
        "task": encoding.task,
        "architecture": {
            "inputs": network.architecture.inputs,
            "layers": [{**each, "dropout": 0.0} for each in described[:-1]],
            "output": described[-1],
        },
        "training": {"cost": cost, "weight_decay": 0.0},
        "encoding": json.loads(json.dumps(encoding.to_json())),
        "classes": None if encoding.classes is None else list(encoding.classes),
        "dtype": str(network.parameters.flat.dtype),
        "sha256": network.parameters.sha256(),
    }


def model_file(network: Network | None = None, **changes: Any) -> Json:
    """A JSON export."""
    whole = network or network_of()
    file: Json = json.loads(tensors.text(document_of(whole), whole.parameters))
    return {**file, **changes}
