"""The wire form of a model as a document: what a JSON export is, and the metadata of a safetensors one."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.architectures.schemas import Activation, HiddenLayer, Initialized, Units
from app.schemas import Matrix, Name, Numbers, Request

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Json = dict[str, Any]

_SHA256 = "a1f2fd5914747c5f14cd1be57fd691a16ec40bedcf13b92b945ed7ce1fea08e5"
_NETWORK: Json = {"inputs": 1, "layers": [], "output": {"units": 1, "activation": "identity"}}
_ENCODING: Json = {
    "task": "regression",
    "features": [{"name": "x", "mean": 0.5, "offset": 0.0, "scale": 1.0, "type": "number"}],
    "targets": [{"name": "y", "offset": 0.0, "scale": 1.0}],
    "classes": None,
    "other_columns": [],
}
_WHOLE: Json = {
    "object": "model_export",
    "version": 1,
    "name": "y = 2x + 1/2",
    "task": "regression",
    "architecture": _NETWORK,
    "training": {"cost": "squared_error", "weight_decay": 0.0},
    "encoding": _ENCODING,
    "classes": None,
    "dtype": "float64",
    "sha256": _SHA256,
    "parameters": [{"W": [[2.0]], "b": [0.5]}],
}


class OutputSent(Request):
    """The output layer, its options resolved."""

    units: Units = Field(ge=1)
    activation: Literal[Activation, "softmax"] = Field(description="f of (3).", examples=["softmax"])
    initialization: Initialized = "auto"


class NetworkSent(Request):
    """An architecture that is fitted to its columns: every s_l is known."""

    inputs: int = Field(ge=1, description="s_1: encoded input columns.", examples=[7])
    layers: list[HiddenLayer] = Field(description="The hidden layers, l = 2 … n-1.", examples=[[]])
    output: OutputSent = Field(description="The output layer, l = n.", examples=[_NETWORK["output"]])


class LayerSent(Request):
    """The parameters from layer l to layer l+1."""

    W: Matrix = Field(description="W^(l): s_{l+1} rows of s_l numbers.", examples=[[[0.1, 0.2], [0.3, 0.4]]])
    b: Numbers = Field(description="b^(l): s_{l+1} numbers.", examples=[[0.0, 0.1]])


class ModelDocument(Request):
    """All of a model but its parameters. Figures are those of where it was trained."""

    object: Literal["model_export"] = Field(description="What this is.", examples=["model_export"])
    version: Literal[1] = Field(description="Of this form.", examples=[1])
    name: Name | None = Field(None, description="Your name for it.", examples=["penguins"])
    task: Literal["classification", "regression"] = Field(
        description="What it does.", examples=["classification"]
    )
    architecture: NetworkSent = Field(description="Its layers.", examples=[_NETWORK])
    training: Json = Field(
        description="How it was trained; of this only cost and weight_decay have a meaning afterwards.",
        examples=[{"cost": "cross_entropy", "weight_decay": 0.0}],
    )
    encoding: Json = Field(
        description="What is done with raw columns and with outputs, as this server writes it.",
        examples=[_ENCODING],
    )
    classes: list[str] | None = Field(
        None, description="In code-point order; null for regression.", examples=[["Adelie", "Gentoo"]]
    )
    dtype: Literal["float32", "float64"] = Field(description="Of the parameters.", examples=["float32"])
    parameter_count: int | None = Field(None, description="Weights and biases.", examples=[131])
    sha256: Sha256 = Field(
        description="SHA-256 of the parameter bytes, as a model has it.", examples=[_SHA256]
    )
    dataset_sha256: Sha256 | None = Field(
        None, description="SHA-256 of the content that it was trained on.", examples=[_SHA256]
    )
    epoch: Any = Field(None, description="The epoch whose parameters these are.", examples=[37])
    cost: Any = Field(None, description="J of (6) on the training rows.", examples=[0.0421])
    metrics: Any = Field(
        None,
        description="Measures on each part of the split.",
        examples=[{"test": {"accuracy": 0.98, "log_loss": 0.07}}],
    )


class ModelFile(ModelDocument):
    """A model as JSON, whose numbers read back to the same bits."""

    model_config = ConfigDict(json_schema_extra={"examples": [_WHOLE]})

    parameters: list[LayerSent] = Field(
        description="W^(l) and b^(l), l = 1 … n-1.", examples=[_WHOLE["parameters"]]
    )
