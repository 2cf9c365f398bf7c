"""The wire form of a plan: what a job would do and take."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.architectures.schemas import NetworkAnswer
from app.jobs.answers import ResolvedTraining
from app.schemas import Answer, Shape, Warned, words


class PlannedRows(Answer):
    """Rows of each part of the split, as reckoned from the fractions."""

    train: int = Field(description="Rows that are trained on.", examples=[240])
    validation: int = Field(description="Rows that steer early stopping.", examples=[52])
    test: int = Field(description="Rows that are held out.", examples=[52])


class MultiplyAdds(Answer):
    """Multiplications with an addition each, in the products of the equations."""

    epoch: int = Field(
        description="Of an epoch: training forwards and backwards, and validation.", examples=[8 * 10**5]
    )
    total: int = Field(description="Of all epochs, should none be saved.", examples=[16 * 10**7])


class MemoryAnswer(Answer):
    """Bytes of memory, by what they are for."""

    total: int = Field(description="The most that is there at once.", examples=[98724532])
    process: int = Field(
        description="The trainer itself, and each core beyond the first.", examples=[96468992]
    )
    data: int = Field(description="Rows as arrays, and the dataset's columns.", examples=[12000])
    encoding: int = Field(
        description="On top of those while rows are encoded, before training.", examples=[20336]
    )
    parameters: int = Field(
        description="W, b and their gradients, and the steps that use them.", examples=[2038752]
    )
    optimizer: int = Field(description="What the optimizer remembers.", examples=[5912])
    snapshots: int = Field(
        description="The first, the best, and copies while one is written.", examples=[26604]
    )
    activations: int = Field(description="z, a and delta of the rows that are under way.", examples=[172272])
    allowed: int = Field(description="The most that this server gives a job.", examples=[8589934592])


class EstimatedSeconds(Answer):
    """As long as the project's last jobs took for as much; before there are any, roughly, as reckoned for a
    core like the API's own: within a factor of two or three."""

    epoch: float = Field(description="Of an epoch.", examples=[0.0017])
    total: float = Field(
        description="Of all epochs, should none be saved, and of no more than the time budget.",
        examples=[0.34],
    )
    measured_jobs: int = Field(
        description="Jobs of this project whose epochs were taken as the measure: those of the same network "
        "and minibatch, or else of the same dtype and manner, if there are any. 0: nothing but the "
        "reckoning.",
        examples=[3],
    )


class PlanAnswer(Answer):
    """What a job with this body would do and take. It would be accepted now; nothing was created."""

    object: Literal["plan"] = Field("plan", description="What this is.", examples=["plan"])
    task: str = Field(
        description="What the model is to do; resolved.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    target: str | list[str] = Field(
        description="The column that is predicted, or several numeric ones.", examples=["species"]
    )
    features: list[str] = Field(
        description="The columns that it would learn from; resolved.", examples=[["island", "bill_length_mm"]]
    )
    architecture: Annotated[dict[str, Any], Shape(NetworkAnswer)] = Field(
        description="The network's layers; resolved."
    )
    training: Annotated[dict[str, Any], Shape(ResolvedTraining)] = Field(
        description="How it would train; resolved."
    )
    initial_model_id: str | None = Field(
        description="The model that it would start from: its id, also where an alias was asked for.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    rows: Annotated[dict[str, int], Shape(PlannedRows)] = Field(description="Rows of each part of the split.")
    parameters: int = Field(description="Weights and biases of the network.", examples=[739])
    multiply_adds: Annotated[dict[str, int], Shape(MultiplyAdds)] = Field(
        description="How much there is to compute."
    )
    memory: Annotated[dict[str, int], Shape(MemoryAnswer)] = Field(description="Bytes, by what they are for.")
    estimated_seconds: Annotated[dict[str, float | int], Shape(EstimatedSeconds)] = Field(
        description="How long it would train, roughly."
    )
    warnings: list[Warned] = Field(description="What was guessed or left out.")
