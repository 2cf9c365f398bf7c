"""The wire form of datasets."""

from typing import Any, Literal

from pydantic import Field

from app.schemas import Answer, Labels, Name, Request, Time, Warned


class Envelope(Request):
    """What a client may say of a dataset beside its rows."""

    name: Name | None = Field(None, examples=["penguins"])
    metadata: Labels = Field({}, examples=[{"source": "Palmer station"}])


class ColumnAnswer(Answer):
    """A column with its profile: numbers also have min, max, mean, …, categories their counts."""

    name: str
    type: Literal["number", "category", "boolean", "date", "text"]
    missing: int = Field(description="Rows without a value.")
    used_by_default: bool = Field(description="Whether a job uses it as a feature unless told otherwise.")
    reason: str | None = Field(description="Why it is set aside.")


class DatasetAnswer(Answer):
    object: Literal["dataset"] = "dataset"
    id: str = Field(examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: Time
    created_by: str
    name: str | None
    metadata: dict[str, str]
    status: Literal["processing", "ready", "failed"]
    sha256: str = Field(description="Of the content: the same for the same data as CSV, gzip or JSON.")
    size_bytes: int = Field(description="Of the stored Parquet.")
    row_count: int
    columns: list[ColumnAnswer]
    warnings: list[Warned]


class RowsAnswer(Answer):
    """A page of rows; ids are row numbers, from 0."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: int | None
    last_id: int | None
    has_more: bool
