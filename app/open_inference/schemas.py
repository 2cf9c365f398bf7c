"""The wire form of the Open Inference Protocol. Unknown fields are let through: the protocol says so."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.schemas import Answer

Shape = Annotated[
    list[Annotated[int, Field(ge=-1)]], Field(description="Sizes by dimension; -1: any.", examples=[[-1, 1]])
]
Parameters = Annotated[
    dict[str, Any] | None,
    Field(description="What else is said of it, as binary_data_size.", examples=[{"binary_data": True}]),
]


class _Sent(BaseModel):
    """A part of a request: nothing is coerced."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


class SentTensor(_Sent):
    """A raw column: one value for each row."""

    name: str = Field(max_length=255, description="The column's name.", examples=["bill_length_mm"])
    datatype: str = Field(
        max_length=8,
        description="FP64 (or another number) for numbers, BYTES for text; BOOL for booleans, too.",
        examples=["FP64"],
    )
    shape: list[Annotated[int, Field(ge=0)]] = Field(
        max_length=8, description="[rows, 1].", examples=[[2, 1]]
    )
    parameters: Parameters = None
    data: list[Any] | None = Field(
        None,
        description="The values, row by row; null is missing. Without it they follow the JSON, in binary.",
        examples=[[39.1, 46.5]],
    )


class WantedTensor(_Sent):
    """An output that is asked for."""

    name: str = Field(max_length=255, description="The output's name.", examples=["label"])
    parameters: Parameters = None


class InferRequest(_Sent):
    """One tensor for each raw column of the model, all with as many rows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {"name": "bill_length_mm", "datatype": "FP64", "shape": [2, 1], "data": [39.1, 46.5]},
                        {"name": "island", "datatype": "BYTES", "shape": [2, 1], "data": ["Dream", "Biscoe"]},
                    ]
                }
            ]
        }
    )

    id: str | None = Field(
        None, max_length=255, description="Your name for this request; the answer has it.", examples=["42"]
    )
    parameters: Parameters = None
    inputs: list[SentTensor] = Field(
        max_length=20_000, description="The model's inputs; further columns of its dataset are ignored."
    )
    outputs: list[WantedTensor] | None = Field(
        None, max_length=64, description="The outputs that are wanted; all of them unless it is given."
    )


class TensorAnswer(Answer):
    """An output: values row by row."""

    name: str = Field(description="The output's name.", examples=["label"])
    datatype: str = Field(description="FP32, FP64 or BYTES.", examples=["BYTES"])
    shape: Shape
    parameters: Parameters = None
    data: list[Any] | None = Field(
        None, description="The values; absent where they follow the JSON, in binary.", examples=[["Adelie"]]
    )


class InferAnswer(Answer):
    """What the model makes of the rows."""

    model_name: str = Field(
        description="The id of the model that answered.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    model_version: str = Field(description="1: a model never changes.", examples=["1"])
    id: str | None = Field(None, description="The request's own id.", examples=["42"])
    outputs: list[TensorAnswer] = Field(description="The outputs, in the order in which they were asked for.")


class TensorMetadata(Answer):
    """A tensor that the model takes or makes."""

    name: str = Field(description="Its name.", examples=["bill_length_mm"])
    datatype: str = Field(description="FP32, FP64 or BYTES.", examples=["FP64"])
    shape: Shape


class ModelMetadata(Answer):
    """What the model takes and makes."""

    name: str = Field(description="The model's id.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    versions: list[str] = Field(description="1: a model never changes.", examples=[["1"]])
    platform: str = Field(description="chainrule, always.", examples=["chainrule"])
    inputs: list[TensorMetadata] = Field(description="One for each raw column.")
    outputs: list[TensorMetadata] = Field(
        description="probabilities, by class in the order of classes, and label; or predictions."
    )


class ServerMetadata(Answer):
    """What the server is, in the protocol's terms."""

    name: str = Field(description="chainrule, always.", examples=["chainrule"])
    version: str = Field(description="The server's version.", examples=["0.1.0"])
    extensions: list[str] = Field(
        description="The parts of the protocol beyond its core.", examples=[["binary_tensor_data"]]
    )


class LiveAnswer(Answer):
    """The process answers."""

    live: bool = Field(description="true, always.", examples=[True])


class ReadyAnswer(Answer):
    """The server, or the model, can be asked."""

    ready: bool = Field(description="true, always: else the answer is an error.", examples=[True])


class InferenceError(Answer):
    """What is wrong, as the protocol has it."""

    error: str = Field(description="What is wrong, and a way out.", examples=["There is no such model."])
