"""The wire form of models, their parameters and evaluations."""

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field

from app.architectures.schemas import NetworkAnswer
from app.datasets.table import ColumnType
from app.models.measures import EvaluationMeasures, SplitMeasures
from app.schemas import Answer, CreatedAt, CreatedBy, OwnName, OwnNotes, Reference, Request, Shape, words

ModelRef = Annotated[str, Field(description="The model's id.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"])]
DatasetRef = Annotated[str, Field(description="The dataset's id.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])]


class InputAnswer(Answer):
    """A raw column that the model takes."""

    name: str = Field(description="The column's name.", examples=["island"])
    type: str = Field(
        description="What its values are.",
        examples=["category"],
        json_schema_extra=words(get_args(ColumnType)),
    )
    categories: list[str] | None = Field(
        description="The values that it may have, in code-point order; null for numbers and dates.",
        examples=[["Biscoe", "Dream", "Torgersen"]],
    )


class OutputAnswer(Answer):
    """A target that the model predicts."""

    name: str = Field(description="The target's name.", examples=["species"])
    type: str = Field(
        description="What is predicted: a class or a number.",
        examples=["category"],
        json_schema_extra=words(("number", "category")),
    )
    classes: list[str] | None = Field(
        None,
        description="The classes, in the order of the outputs; only for classification.",
        examples=[["Adelie", "Chinstrap", "Gentoo"]],
    )


class ModelAnswer(Answer):
    """A trained network, as its job left it: its parameters never change."""

    object: Literal["model"] = Field("model", description="What this is.", examples=["model"])
    id: ModelRef
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    aliases: list[str] = Field(description="The names that stand for it, in order.", examples=[["champion"]])
    job_id: str | None = Field(
        description="The job that made it; null: it was imported.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    epoch: int | None = Field(
        description="The epoch whose parameters these are; null: it was imported.", examples=[37]
    )
    dataset_id: str | None = Field(
        description="The dataset that it was trained on; null: it was imported.",
        examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    dataset_sha256: str | None = Field(
        description="SHA-256 of that dataset's content; of an imported model as its file says, or null.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    task: str = Field(
        description="What it does.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    architecture: Annotated[dict[str, Any], Shape(NetworkAnswer)] = Field(description="Its layers.")
    parameter_count: int = Field(description="Weights and biases.", examples=[131])
    inputs: list[Annotated[dict[str, Any], Shape(InputAnswer)]] = Field(
        description="The raw columns that it takes, in order."
    )
    outputs: list[Annotated[dict[str, Any], Shape(OutputAnswer)]] = Field(
        description="The targets that it predicts, in order."
    )
    classes: list[str] | None = Field(
        description="In code-point order; null for regression.",
        examples=[["Adelie", "Chinstrap", "Gentoo"]],
    )
    cost: float | None = Field(
        description="J of (6) at these parameters, on the training rows as weighted.", examples=[0.0421]
    )
    metrics: Annotated[dict[str, Any], Shape(SplitMeasures)] = Field(
        description="Its measures on each part of the split; empty where they were not taken."
    )
    sha256: str = Field(
        description="SHA-256 of the parameter bytes alone: W^(1), b^(1), W^(2), …, little-endian.",
        examples=["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"],
    )


class LayerAnswer(Answer):
    """The parameters from layer l to layer l+1."""

    W: list[list[float]] = Field(
        description="W^(l): s_{l+1} rows of s_l numbers.", examples=[[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]]
    )
    b: list[float] = Field(description="b^(l): s_{l+1} numbers.", examples=[[0.0, 0.1, -0.1]])


class ParametersAnswer(Answer):
    """Every parameter of a model, unrounded."""

    object: Literal["parameters"] = Field("parameters", description="What this is.", examples=["parameters"])
    data: list[LayerAnswer] = Field(description="W^(l) and b^(l), l = 1 … n-1.")


class EvaluateRequest(Request):
    """A part of the training dataset or of a stored split, or another dataset with the same columns."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"split": "test"}]})

    split: Literal["train", "validation", "test"] | None = Field(
        None,
        description="The part of the training dataset, or of the split; default: test.",
        examples=["test"],
    )
    split_id: Reference | None = Field(
        None,
        description="A stored split for the model's target, so that models compare on the same rows, however "
        "each was trained.",
        examples=["split_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    dataset_id: Reference | None = Field(
        None,
        description="Another dataset, all of it; the training dataset's own id means its split.",
        examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )


class EvaluationAnswer(Answer):
    """How good a model is on some rows."""

    object: Literal["evaluation"] = Field("evaluation", description="What this is.", examples=["evaluation"])
    model_id: ModelRef
    dataset_id: DatasetRef
    split: str | None = Field(
        description="The part of the training dataset, or of the split; null for all of another dataset.",
        examples=["test"],
    )
    split_id: str | None = Field(
        None,
        description="The stored split; null: the job's own.",
        examples=["split_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    row_count: int = Field(description="Rows with a known target.", examples=[51])
    trained_on: int | None = Field(
        None,
        description="How many of these rows the model's job has trained on, so that the measures flatter it; "
        "null where that is not known: of another dataset, or an imported model.",
        examples=[0],
    )
    cost: float | None = Field(
        description="The first term of (6) on these rows, each of which counts alike.", examples=[0.0633]
    )
    metrics: Annotated[dict[str, Any], Shape(EvaluationMeasures)] = Field(description="The measures.")
