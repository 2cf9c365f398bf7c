"""The wire form of files that come in parts."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas import Answer, CreatedAt, CreatedBy, Labels, Name, OwnName, OwnNotes, Request


class UploadCreate(Request):
    """A file that is to come, and what is to be known of the dataset that it becomes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"size_bytes": 2147483648, "name": "clicks", "metadata": {"a": "b"}}]}
    )

    size_bytes: int = Field(gt=0, lt=2**53, description="Bytes of the whole file.", examples=[2147483648])
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the whole file, to be compared when it is complete.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    name: Name | None = Field(None, description="Your name for the dataset.", examples=["penguins"])
    metadata: Labels = Field({}, examples=[{"source": "Palmer station"}])
    shared: bool = Field(
        False,
        description="Whether every project may read the dataset and train on it: for administrators.",
        examples=[False],
    )
    columns: dict[str, Any] = Field(
        {},
        max_length=5_000,
        description='Types of columns that inference would get wrong, as {"zip": {"type": "category"}}.',
        examples=[{"zip": {"type": "category"}}],
    )
    charset: str | None = Field(
        None,
        max_length=40,
        description="The charset of text, where it is not UTF-8 and is not to be guessed.",
        examples=["windows-1252"],
    )


class UploadAnswer(Answer):
    """A file that comes in parts."""

    object: Literal["upload"] = Field("upload", description="What this is.", examples=["upload"])
    id: str = Field(description="Its id.", examples=["upl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    shared: bool = Field(description="Whether the dataset will be shared.", examples=[False])
    columns: dict[str, Any] = Field(
        description="Corrections of types, as they were sent.", examples=[{"zip": {"type": "category"}}]
    )
    size_bytes: int = Field(description="Bytes of the whole file.", examples=[2147483648])
    offset: int = Field(
        description="Bytes that are here for good: where the next part begins.", examples=[16777216]
    )
    expires_at: datetime = Field(
        description="When it is deleted, unless another part comes.", examples=["2026-11-24T09:30:00.000000Z"]
    )
