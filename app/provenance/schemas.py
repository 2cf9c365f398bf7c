"""The wire form of snapshots and manifests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.architectures.schemas import NetworkAnswer
from app.jobs.answers import JobRef, ResolvedTraining
from app.schemas import Answer, CreatedAt, Fingerprint, Shape, words

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class SnapshotAnswer(Answer):
    """A state of a job. The last one is where it goes on from."""

    object: Literal["snapshot"] = Field("snapshot", description="What this is.", examples=["snapshot"])
    job_id: JobRef
    number: int = Field(description="1, 2, … within the job, in the order of training.", examples=[4])
    epoch: int = Field(description="Epochs that were complete.", examples=[8])
    step: int = Field(description="Steps of the next epoch that were done.", examples=[0])
    sha256: str = Field(description="SHA-256 of the parameters, as a model's sha256.", examples=[DIGEST])
    chain_sha256: str = Field(
        description="SHA-256 of the chain up to here: of the chain_sha256 before (nothing, for the first), "
        "sha256, epoch and step, a line each.",
        examples=[DIGEST],
    )
    kept: bool = Field(description="Whether it stays when newer ones are written.", examples=[True])
    size_bytes: int | None = Field(
        description="Bytes of the state; null when only this record of it is left.", examples=[5120]
    )
    created_at: CreatedAt


class DatasetNamed(Answer):
    """The dataset that a job learns from."""

    id: str = Field(description="Its id.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    sha256: str = Field(description="SHA-256 of its content.", examples=[DIGEST])


class PartDigest(Answer):
    """A part of the split."""

    rows: int = Field(description="How many rows.", examples=[105])
    sha256: str = Field(
        description="SHA-256 of their numbers, ascending, as little-endian 64-bit integers.",
        examples=[DIGEST],
    )


class SplitDigest(Answer):
    """The parts of the split."""

    train: PartDigest = Field(description="The rows that are trained on.")
    validation: PartDigest = Field(description="The rows that steer early stopping.")
    test: PartDigest = Field(description="The rows that are held out.")


class Versions(Answer):
    """The programs that computed a job, as of its last claim."""

    chainrule: str = Field(description="The server's version.", examples=["0.1.0"])
    engine: str | None = Field(
        description="The engine's: it changes whenever the bits of some result do.", examples=["1"]
    )
    numpy: str = Field(description="NumPy's.", examples=["2.4.6"])


class ChainAnswer(Answer):
    """The chain of a job's snapshots."""

    count: int = Field(description="How many there were.", examples=[9])
    chain_sha256: str | None = Field(
        description="The newest one's chain_sha256; null where there is none.", examples=[DIGEST]
    )


class ModelNamed(Answer):
    """The newest model that a job left."""

    id: str = Field(description="Its id.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    sha256: str = Field(description="SHA-256 of its parameters.", examples=[DIGEST])


class ManifestAnswer(Answer):
    """What a job was computed from, by what, and what came of it; the same bytes once it has ended."""

    object: Literal["manifest"] = Field("manifest", description="What this is.", examples=["manifest"])
    job_id: JobRef
    task: str = Field(
        description="What the model is to do; resolved.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    target: str | list[str] = Field(
        description="The column that is predicted, or several numeric ones.", examples=["species"]
    )
    features: list[str] = Field(
        description="The columns that it learns from; resolved.",
        examples=[["island", "bill_length_mm", "bill_depth_mm"]],
    )
    dataset: DatasetNamed = Field(description="The dataset, which may be deleted.")
    split: Annotated[dict[str, Any], Shape(SplitDigest)] | None = Field(
        description="The rows of each part; null before it ran."
    )
    architecture: Annotated[dict[str, Any], Shape(NetworkAnswer)] = Field(
        description="The network's layers; resolved."
    )
    training: Annotated[dict[str, Any], Shape(ResolvedTraining)] = Field(
        description="How it trains; resolved."
    )
    seed: int = Field(description="Decides split, first weights and shuffling.", examples=[0])
    initial_model_id: str | None = Field(
        description="The model that it began with, which may be deleted; null: none.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    initial_parameters_sha256: str | None = Field(
        description="SHA-256 of the parameters that it began with, as a safetensors file; null: those that "
        "the seed draws.",
        examples=[DIGEST],
    )
    versions: Versions | None = Field(description="What computed it; null before it ran.")
    fingerprint: Annotated[dict[str, Any], Shape(Fingerprint)] | None = Field(
        description="What the bits depend on beside all this; null before it ran."
    )
    epochs: int = Field(description="Rows of history.", examples=[57])
    history_sha256: str | None = Field(
        description="SHA-256 of the history as compact JSON with sorted names: a list of epoch, cost, "
        "data_cost, validation_cost, metrics, learning_rate, gradient_norm and diverged of each epoch; "
        "null before the job has ended.",
        examples=[DIGEST],
    )
    snapshots: ChainAnswer = Field(description="The chain of its snapshots.")
    model: ModelNamed | None = Field(description="The newest model; null where there is none, or no more.")
