"""The wire form of architectures."""

from typing import Literal

from pydantic import Field

from app.schemas import Answer, Labels, Name, Request, Time

Activation = Literal["identity", "sigmoid", "tanh", "relu"]
Initialization = Literal[
    "auto", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "uniform", "zeros"
]


class HiddenLayer(Request):
    units: int = Field(ge=1, description="Neurons s_l of this layer.", examples=[16])
    activation: Activation = Field("relu", description="f of (3).", examples=["tanh"])
    initialization: Initialization = Field(
        "auto", description="How W starts; auto is He for relu, Glorot else. b starts at 0."
    )


class OutputLayer(Request):
    activation: Literal["auto", Activation, "softmax"] = Field(
        "auto", description="auto is softmax for classification and identity for regression."
    )
    initialization: Initialization = Field("auto", description="How W starts.")


class ArchitectureSpec(Request):
    """The hidden layers in order; the output layer's units follow from the target."""

    layers: list[HiddenLayer] = Field(
        description="The hidden layers; may be empty.",
        examples=[[{"units": 16, "activation": "tanh"}]],
    )
    output: OutputLayer = Field(OutputLayer(), description="The output layer.")


class ArchitectureCreate(ArchitectureSpec):
    name: Name | None = Field(None, description="Your name for it.", examples=["small tanh"])
    metadata: Labels = Field({}, examples=[{"course": "ML 101"}])


class ArchitectureAnswer(Answer):
    object: Literal["architecture"] = "architecture"
    id: str = Field(examples=["arch_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: Time
    created_by: str = Field(description="Id of the key that made it.")
    name: str | None
    metadata: dict[str, str]
    layers: list[HiddenLayer]
    output: OutputLayer
