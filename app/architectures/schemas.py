"""The wire form of architectures."""

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field

from app.schemas import Answer, CreatedAt, CreatedBy, Labels, Name, OwnName, OwnNotes, Request, words

Activation = Literal["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu"]
Initialization = Literal[
    "auto", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "uniform", "zeros"
]

Initialized = Annotated[
    Initialization,
    Field(
        description="How W starts; auto is He for relu and its like, Glorot else. b starts at 0.",
        examples=["glorot_uniform"],
    ),
]
Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of this layer's activations a^(l) that each training step sets to 0; the others "
        "are divided by 1 - dropout. Nothing is dropped outside of training.",
        examples=[0.2],
    ),
]
Units = Annotated[int, Field(description="Neurons s_l of this layer.", examples=[16])]


class HiddenLayer(Request):
    """A layer l of the network, 2 ≤ l < n."""

    units: Units = Field(ge=1)
    activation: Activation = Field("relu", description="f of (3).", examples=["tanh"])
    initialization: Initialized = "auto"
    dropout: Dropout = 0.0


class OutputLayer(Request):
    """The layer n of the network; its units follow from the target."""

    activation: Literal["auto", Activation, "softmax"] = Field(
        "auto",
        description="f of (3); auto is softmax for classification (sigmoid when the cost is not "
        "cross_entropy) and identity for regression.",
        examples=["softmax"],
    )
    initialization: Initialized = "auto"


class ArchitectureSpec(Request):
    """The hidden layers in order; the output layer's units follow from the target."""

    layers: list[HiddenLayer] = Field(
        description="The hidden layers, in order; may be empty.",
        examples=[[{"units": 16, "activation": "tanh"}]],
    )
    output: OutputLayer = Field(
        OutputLayer(), description="The output layer.", examples=[{"activation": "auto"}]
    )


class ArchitectureCreate(ArchitectureSpec):
    """An architecture to be kept, for use in jobs by its id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "small tanh", "layers": [{"units": 16, "activation": "tanh"}]}]
        }
    )

    name: Name | None = Field(None, description="Your name for it.", examples=["small tanh"])
    metadata: Labels = Field({}, examples=[{"course": "ML 101"}])


class ArchitectureAnswer(Answer):
    """A stored architecture."""

    object: Literal["architecture"] = Field(
        "architecture", description="What this is.", examples=["architecture"]
    )
    id: str = Field(description="Its id.", examples=["arch_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    layers: list[HiddenLayer] = Field(description="The hidden layers, in order.")
    output: OutputLayer = Field(description="The output layer.")


class NetworkLayer(Answer):
    """A layer whose options are resolved."""

    units: Units
    activation: str = Field(
        description="f of (3).",
        examples=["tanh"],
        json_schema_extra=words((*get_args(Activation), "softmax")),
    )
    initialization: Initialized


class HiddenNetworkLayer(NetworkLayer):
    """A hidden layer whose options are resolved."""

    dropout: Dropout = 0.0


class NetworkAnswer(Answer):
    """An architecture that is fitted to a dataset: every s_l is known."""

    inputs: int = Field(description="s_1: encoded input columns.", examples=[7])
    layers: list[HiddenNetworkLayer] = Field(description="The hidden layers, l = 2 … n-1.")
    output: NetworkLayer = Field(description="The output layer, l = n.")
