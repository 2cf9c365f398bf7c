"""The wire form of aliases."""

from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas import Answer, CreatedAt, CreatedBy, Reference, Request, Time

PATTERN = "^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$"
"""No underscore: every id has one, so that a name is never taken for an id."""


class AliasPut(Request):
    """What an alias stands for from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "mdl_0n5c1k4v8d2s6m9q3x7z1b5f"}]})

    model_id: Reference = Field(
        description="The model; another alias means the model that it stands for now.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )


class AliasAnswer(Answer):
    """A name that stands for a model."""

    object: Literal["alias"] = Field("alias", description="What this is.", examples=["alias"])
    id: str = Field(description="The alias itself.", examples=["champion"])
    created_at: CreatedAt
    created_by: CreatedBy
    updated_at: Time = Field(description="When it came to stand for its model.")
    model_id: str = Field(
        description="The model that it stands for.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
