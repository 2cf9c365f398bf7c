"""The wire form of datasets."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.codes import PROBLEMS
from app.schemas import (
    Answer,
    CreatedAt,
    CreatedBy,
    Labels,
    Name,
    OwnName,
    OwnNotes,
    ProblemFault,
    Renamed,
    Request,
    Shape,
    Warned,
    words,
)

Status = Literal["processing", "ready", "failed"]


class Envelope(Request):
    """What a client may say of a dataset beside its rows."""

    name: Name | None = Field(None, description="Your name for it.", examples=["penguins"])
    metadata: Labels = Field({}, examples=[{"source": "Palmer station"}])
    shared: bool = Field(
        False, description="Whether every project may read it and train on it.", examples=[True]
    )


class DatasetChange(Renamed):
    """New name or metadata of a dataset, and who sees it; a field that is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Penguins of 2007", "metadata": {"team": "biology"}}]}
    )

    shared: bool | None = Field(
        None,
        description="Whether every project may read it and train on it: for administrators; null leaves it.",
        examples=[True],
    )
    columns: dict[str, Any] | None = Field(
        None,
        max_length=5_000,
        description="Types of columns, while no job has learned from the dataset; others stay as they are.",
        examples=[{"zip": {"type": "category"}}],
    )


class ColumnAnswer(Answer):
    """A column with its profile: the figures of a number, the categories of a category or boolean."""

    name: str = Field(description="The column's name.", examples=["bill_length_mm"])
    type: Literal["number", "category", "boolean", "date", "text"] = Field(
        description="What its values are, inferred from all rows unless corrected.", examples=["number"]
    )
    missing: int = Field(description="Rows without a value.", examples=[2])
    used_by_default: bool = Field(
        description="Whether a job uses it as a feature unless told otherwise.", examples=[True]
    )
    reason: str | None = Field(
        description="Why it is set aside; null when it is not.", examples=["all of its values are the same"]
    )
    distinct: int | None = Field(
        None,
        description="Different values; null where a number or date has more than 1,000, text over a million.",
        examples=[164],
    )
    min: float | None = Field(None, description="Numbers: the least.", examples=[32.1])
    max: float | None = Field(None, description="Numbers: the greatest.", examples=[59.6])
    mean: float | None = Field(None, description="Numbers: the mean.", examples=[43.92])
    std: float | None = Field(
        None, description="Numbers: the standard deviation, of the population.", examples=[5.45]
    )
    quantiles: list[float | None] | None = Field(
        None,
        description="Numbers: the quantiles at 0, ¼, ½, ¾ and 1, linear between values.",
        examples=[[32.1, 39.2, 44.4, 48.5, 59.6]],
    )
    histogram: list[int] | None = Field(
        None,
        description="Numbers: rows in each of 20 bins of one width, from min to max; null where all are the "
        "same.",
        examples=[[1, 4, 13, 27, 31, 38, 29, 21, 19, 24, 33, 29, 27, 22, 12, 8, 2, 1, 0, 1]],
    )
    integer: bool | None = Field(None, description="Numbers: whether all are whole.", examples=[False])
    first: str | None = Field(
        None, description="Dates: the first moment, ISO 8601, UTC.", examples=["2007-11-11"]
    )
    last: str | None = Field(
        None, description="Dates: the last moment, ISO 8601, UTC.", examples=["2009-12-01T10:30:00"]
    )
    times: bool | None = Field(
        None, description="Dates: whether any has a time of day, and so its own inputs.", examples=[True]
    )
    categories: list[str] | None = Field(
        None,
        description="Categories and booleans: all values, in code-point order.",
        examples=[["Biscoe", "Dream", "Torgersen"]],
    )
    counts: dict[str, int] | None = Field(
        None,
        description="Categories and booleans: rows by value.",
        examples=[{"Biscoe": 168, "Dream": 124, "Torgersen": 52}],
    )


class DatasetError(Answer):
    """Why a file could not be read."""

    code: str = Field(
        description="What it is, from one published table.",
        examples=["invalid_dataset"],
        json_schema_extra=words(PROBLEMS),
    )
    detail: str = Field(description="What is wrong.", examples=["The file cannot be read as a dataset."])
    errors: list[ProblemFault] = Field(description="Each thing that is wrong, and where.")


class DatasetAnswer(Answer):
    """A table of typed columns. Its content never changes once a job has learned from it."""

    object: Literal["dataset"] = Field("dataset", description="What this is.", examples=["dataset"])
    id: str = Field(description="Its id.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    shared: bool = Field(description="Whether every project may read it and train on it.", examples=[False])
    read_only: bool = Field(
        description="Whether another project shares it: only there can it be changed or deleted.",
        examples=[False],
    )
    status: Status = Field(
        description="Whether jobs can use it: processing while its file is read, failed where it is none.",
        examples=["ready"],
    )
    sha256: str | None = Field(
        description="SHA-256 of the content, the same for the same data in any format; null unless ready.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    size_bytes: int = Field(description="Bytes of the stored Parquet.", examples=[8124])
    row_count: int = Field(description="Rows.", examples=[344])
    columns: list[Annotated[dict[str, Any], Shape(ColumnAnswer)]] = Field(
        description="The columns, in the order of the file."
    )
    warnings: list[Warned] = Field(description="What was guessed or set aside, and why.")
    error: DatasetError | None = Field(
        None, description="Why the file could not be read, where the status is failed."
    )


class RowsAnswer(Answer):
    """A page of rows; ids are row numbers, from 0."""

    object: Literal["list"] = Field("list", description="What this is.", examples=["list"])
    data: list[dict[str, Any]] = Field(
        description="Values by column name; a missing one is null.",
        examples=[[{"island": "Torgersen", "bill_length_mm": 39.1, "sex": None}]],
    )
    first_id: int | None = Field(description="Number of the page's first row.", examples=[0])
    last_id: int | None = Field(
        description="Number of the page's last row: the next page's ?after=.", examples=[19]
    )
    has_more: bool = Field(description="Whether there are rows behind this page.", examples=[True])
