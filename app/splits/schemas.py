"""The wire form of splits."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.schemas import (
    Answer,
    CreatedAt,
    CreatedBy,
    Labels,
    Name,
    OwnName,
    OwnNotes,
    Reference,
    Request,
    Shape,
    word_or,
    words,
)

Target = Annotated[str, Field(max_length=255)]
Fraction = Annotated[float, Field(ge=0, lt=1, examples=[0.15])]


class SplitCreate(Request):
    """A split of a dataset, to be shared by jobs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "fair", "dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f", "target": "species"}]
        }
    )

    dataset_id: Reference = Field(description="The dataset.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    target: str | list[str] = Field(
        description="The column that the jobs will predict, or several: rows without a value of it are in no "
        "part.",
        examples=["species"],
    )
    task: Literal["auto", "classification", "regression"] = Field(
        "auto", description="What the jobs will do; as of a job.", examples=["classification"]
    )
    validation_fraction: Fraction = Field(0.15, description="Share of rows that steer early stopping.")
    test_fraction: Fraction = Field(0.15, description="Share of rows held out until the end.")
    stratify: word_or(Literal["auto"], bool) = Field(  # type: ignore[valid-type]
        "auto", description="Split each class in proportion; auto: for classification.", examples=[True]
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Decides which rows are in which part.", examples=[42])
    name: Name | None = Field(None, description="Your name for it.", examples=["fair"])
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class PartAnswer(Answer):
    """One part of a split."""

    rows: int = Field(description="How many rows it has.", examples=[240])
    sha256: str = Field(
        description="SHA-256 of its row numbers, in order, as little-endian int64.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class PartsAnswer(Answer):
    """The three parts."""

    train: PartAnswer = Field(description="Rows that are trained on.")
    validation: PartAnswer = Field(description="Rows that steer early stopping.")
    test: PartAnswer = Field(description="Rows that are held out.")


class StoredSplitAnswer(Answer):
    """A stored split. It never changes: its dataset's content does not, either."""

    object: Literal["split"] = Field("split", description="What this is.", examples=["split"])
    id: str = Field(description="Its id.", examples=["split_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    dataset_id: str = Field(description="The dataset.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    dataset_sha256: str = Field(
        description="SHA-256 of the dataset's content.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    task: str = Field(
        description="What jobs with this split do; resolved.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    target: str | list[str] = Field(
        description="The column that jobs with this split predict, or several.", examples=["species"]
    )
    validation_fraction: float = Field(
        description="Share of rows that steer early stopping.", examples=[0.15]
    )
    test_fraction: float = Field(description="Share of rows held out until the end.", examples=[0.15])
    stratify: bool = Field(description="Whether each class was split in proportion.", examples=[True])
    seed: int = Field(description="Decides which rows are in which part.", examples=[42])
    parts: Annotated[dict[str, Any], Shape(PartsAnswer)] = Field(description="How many rows each part has.")


class SplitAnswer(Answer):
    """Row numbers, from 0, of each part of the split."""

    object: Literal["split"] = Field("split", description="What this is.", examples=["split"])
    train: list[int] = Field(description="The rows that are trained on.", examples=[[0, 2, 3]])
    validation: list[int] = Field(description="The rows that steer early stopping.", examples=[[4]])
    test: list[int] = Field(description="The rows that are held out.", examples=[[1]])
