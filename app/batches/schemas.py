"""The wire form of batches."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.codes import FAULTS, PROBLEMS
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
    Time,
    words,
)

STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class BatchCreate(Request):
    """A dataset whose rows a model is to predict."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model_id": "mdl_0n5c1k4v8d2s6m9q3x7z1b5f", "dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f"}
            ]
        }
    )

    model_id: Reference = Field(
        description="The model's id, or an alias of it, which is followed now.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    dataset_id: Reference = Field(
        description="The dataset with the rows: one's own, or a shared one.",
        examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    name: Name | None = Field(
        None, description="Your name for it, and for the dataset that comes of it.", examples=["march"]
    )
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class BatchProgress(Answer):
    """How far it is."""

    completed: int = Field(description="Rows that are predicted.", examples=[8192])
    total: int = Field(description="Rows of the dataset.", examples=[100000])
    unit: str = Field("row", description="row, always.", examples=["row"])


class BatchWarning(Answer):
    """Values that were encoded, but perhaps not as meant, or rows without a prediction."""

    code: str = Field(description="What they are, for programs.", examples=["unknown_category"])
    count: int = Field(description="How many there are.", examples=[12])


class BatchError(Answer):
    """Why it has failed."""

    code: str = Field(
        description="What it is, for programs.",
        examples=["invalid_dataset"],
        json_schema_extra=words((*PROBLEMS, *FAULTS)),
    )
    message: str = Field(
        description="What it is, for people.", examples=["The file's columns do not fit the model's."]
    )
    errors: list[dict[str, Any]] = Field(
        description="What is wrong, and where: as the errors of a problem.",
        examples=[[{"param": "columns.island", "code": "missing_column", "message": "…", "hint": None}]],
    )


class BatchAnswer(Answer):
    """Predictions of a whole dataset."""

    object: Literal["batch"] = Field("batch", description="What this is.", examples=["batch"])
    id: str = Field(description="Its id.", examples=["bat_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    status: str = Field(
        description="What it is doing.", examples=["running"], json_schema_extra=words(STATUSES)
    )
    model_id: str = Field(description="The model that predicts.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    dataset_id: str = Field(description="The dataset.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    progress: BatchProgress = Field(description="How many of its rows are predicted.")
    result_dataset_id: str | None = Field(
        description="The dataset with the predictions; null until it has succeeded.",
        examples=["ds_1c8k3v6n0q5x2z7m4d9s1b6f"],
    )
    warnings: list[BatchWarning] = Field(description="What was odd about the rows, counted.")
    error: BatchError | None = Field(description="Why it has failed; null unless it has.")
    started_at: Time | None = Field(
        description="When somebody began it; null until then.", examples=["2026-03-14T09:26:53.589793Z"]
    )
    finished_at: Time | None = Field(
        description="When it ended; null until then.", examples=["2026-03-14T09:26:54.271828Z"]
    )
