"""The wire form of cross-validations."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.jobs.schemas import MOST_FOLDS, JobCreate
from app.models.measures import Measures
from app.schemas import Answer, CreatedAt, CreatedBy, OwnName, OwnNotes, Shape, Warned, words

STATUSES = ("queued", "running", "paused", "succeeded", "failed", "cancelled", "incomplete")


class CrossValidationCreate(JobCreate):
    """A job, once for each fold. Everything but ``folds`` is as of a job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f", "target": "species", "folds": 5}]
        }
    )

    folds: int = Field(
        5,
        ge=2,
        le=MOST_FOLDS,
        description="Into how many parts the rows are dealt; each is held out by one job.",
        examples=[5],
    )


class FoldAnswer(Answer):
    """One fold and its job."""

    fold: int = Field(description="Which one, from 0.", examples=[0])
    job_id: str = Field(description="The job's id.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"])
    status: str | None = Field(
        description="Where the job stands; null: it was deleted.", examples=["succeeded"]
    )
    model_id: str | None = Field(
        description="The model that it made.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    metrics: Annotated[dict[str, Any], Shape(Measures)] | None = Field(
        description="On the rows of this fold, once the job has succeeded."
    )


class Spread(Answer):
    """A measure over the folds whose jobs have succeeded."""

    mean: float | None = Field(description="Mean over the folds.", examples=[0.966])
    std: float | None = Field(
        description="Standard deviation over the folds, of the sample; null for fewer than two.",
        examples=[0.021],
    )
    folds: int = Field(description="Folds that have this measure.", examples=[5])


class CrossValidationAnswer(Answer):
    """Jobs that each hold out one fold, and what they come to together."""

    object: Literal["cross_validation"] = Field(
        "cross_validation", description="What this is.", examples=["cross_validation"]
    )
    id: str = Field(description="Its id.", examples=["cv_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    status: str = Field(
        description="running while a job is to go on, queued before the first has started; incomplete: a job "
        "was deleted.",
        examples=["succeeded"],
        json_schema_extra=words(STATUSES),
    )
    dataset_id: str = Field(description="The dataset.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    task: str = Field(
        description="What the models do.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    target: str | list[str] = Field(
        description="The column that is predicted, or several.", examples=["species"]
    )
    requested: dict[str, Any] = Field(
        description="The request as it was sent; long arrays as their shape and SHA-256.",
        examples=[{"dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f", "target": "species"}],
    )
    folds: list[Annotated[dict[str, Any], Shape(FoldAnswer)]] = Field(description="The folds, in order.")
    metrics: dict[str, Annotated[dict[str, Any], Shape(Spread)]] = Field(
        description="By name of the measure, its mean and spread over the folds that are done.",
        examples=[{"accuracy": {"mean": 0.966, "std": 0.021, "folds": 5}}],
    )
    warnings: list[Warned] = Field(description="What was guessed or left out.")
