"""The wire form of a trace: one iteration of the paper, number by number."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.models.schemas import ModelRef
from app.schemas import Answer, Matrix, Request, Shape

Row = list[float | None]
Rate = Annotated[float, Field(description="alpha of (7)-(8).", examples=[0.5])]


class TraceRequest(Request):
    """Examples to follow through the network: named rows with their target, or encoded numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": [[0.05, 0.1]], "targets": [[0.01, 0.99]], "learning_rate": 0.5}]
        }
    )

    rows: list[dict[str, Any]] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Raw values by column name, the target's among them; null is imputed.",
        examples=[[{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "species": "Adelie"}]],
    )
    inputs: Matrix | None = Field(
        None, min_length=1, max_length=100, description="x: rows of s_1 numbers.", examples=[[[0.05, 0.1]]]
    )
    targets: Matrix | None = Field(
        None, min_length=1, max_length=100, description="y: rows of s_n numbers.", examples=[[[0.01, 0.99]]]
    )
    learning_rate: Rate = Field(0.1, gt=0)
    weight_decay: float | None = Field(
        None, ge=0, description="lambda of (6); default: the training's own.", examples=[0.001]
    )


class TraceCost(Answer):
    """J before the update."""

    examples: Row = Field(description="J of (5), or its extension, of each example.", examples=[[0.2984]])
    overall: float | None = Field(description="J of (6), decay included.", examples=[0.2984])


class TraceLayer(Answer):
    """A layer of the network: lists have a row of s_l numbers per example. The first has only l and a."""

    l: int = Field(description="Which layer: 1 … n.", examples=[2])  # noqa: E741 (the paper's letter)
    activation: str | None = Field(None, description="f of (3).", examples=["sigmoid"])
    z: list[Row] | None = Field(
        None, description="z^(l) of (2): weighted input sums.", examples=[[[0.3775, 0.3925]]]
    )
    a: list[Row] = Field(description="a^(l) of (3): activations; a^(1) is x.", examples=[[[0.5933, 0.5969]]])
    f_prime: list[Row] | None = Field(
        None,
        description="f'(z^(l)) of (15); null where cost and output layer give delta directly.",
        examples=[[[0.2413, 0.2406]]],
    )
    delta: list[Row] | None = Field(
        None, description="delta^(l) of (14)-(18): each example's own.", examples=[[[0.0088, 0.01]]]
    )


class TraceParameters(Answer):
    """Numbers in the places of W^(l) and b^(l)."""

    W: list[Row] = Field(
        description="Of W^(l): s_{l+1} rows of s_l numbers.", examples=[[[0.15, 0.2], [0.25, 0.3]]]
    )
    b: Row = Field(description="Of b^(l): s_{l+1} numbers.", examples=[[0.35, 0.35]])


class TraceGradient(TraceParameters):
    """The gradients (9) and (10) from layer l to layer l+1, the mean over the examples."""

    l: int = Field(description="From layer l to layer l+1.", examples=[1])  # noqa: E741


class TraceUpdate(Answer):
    """One iteration of gradient descent. The model itself stays as it is."""

    alpha: Rate
    lambda_: float = Field(alias="lambda", description="lambda of (6).", examples=[0.0])
    parameters: list[TraceParameters] = Field(description="W^(l) after (7) and b^(l) after (8), l = 1 … n-1.")


class TraceAnswer(Answer):
    """One iteration of the paper, every number in float64; what is not finite is null."""

    object: Literal["trace"] = Field("trace", description="What this is.", examples=["trace"])
    model_id: ModelRef
    s: list[int] = Field(description="s_1 … s_n: neurons of each layer.", examples=[[2, 2, 2]])
    cost: Annotated[dict[str, Any], Shape(TraceCost)] = Field(
        description="J of each example, and of all of them."
    )
    layers: list[Annotated[dict[str, Any], Shape(TraceLayer)]] = Field(description="l = 1 … n.")
    gradients: list[Annotated[dict[str, Any], Shape(TraceGradient)]] = Field(
        description="The gradients (9) and (10), l = 1 … n-1."
    )
    update: Annotated[dict[str, Any], Shape(TraceUpdate)] = Field(
        description="The parameters after one iteration."
    )
    equations: dict[str, str] = Field(
        description="Where each number stands in the paper, or what takes its place.",
        examples=[{"z": "(2)", "a": "(3)"}],
    )
