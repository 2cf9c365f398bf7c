"""The wire form of API keys."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, Strict

from app.schemas import Answer, CreatedAt, Name, Request, Time, words

Role = Literal["predict", "read", "write", "admin"]


def _within_range(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 9998:  # beyond, its UTC may not be a date that Python has
        raise ValueError("The year should be from 1970 to 9998")
    return moment


class KeyCreate(Request):
    """A key for a project, which is made when it is new."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "dashboard", "project": "biology", "role": "read"}]}
    )

    name: Name = Field(description="What it is for.", examples=["dashboard"])
    project: Name = Field(
        "default", description="The project that it sees; made when it is new.", examples=["biology"]
    )
    role: Role = Field(
        "write", description="What it may do: each role may do what those before it may.", examples=["read"]
    )
    expires_at: Annotated[AwareDatetime, Strict(False), AfterValidator(_within_range)] | None = Field(
        None,
        description="When it ends, with its offset from UTC, in the future; default: never.",
        examples=["2030-01-01T00:00:00Z"],
    )


class KeyAnswer(Answer):
    """A key, without its secret."""

    object: Literal["key"] = Field("key", description="What this is.", examples=["key"])
    id: str = Field(description="Its id.", examples=["key_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: str | None = Field(
        description="Id of the key that made it; null for the operator's own.",
        examples=["key_1c8k3v6n0q5x2z7m4d9s1b6f"],
    )
    name: str = Field(description="What it is for.", examples=["dashboard"])
    project: str = Field(description="The name of the project that it sees.", examples=["biology"])
    role: str = Field(
        description="What it may do: each role may do what those before it may.",
        examples=["read"],
        json_schema_extra=words(get_args(Role)),
    )
    expires_at: Time | None = Field(
        description="When it ends; null: never.", examples=["2030-01-01T00:00:00.000000Z"]
    )
    revoked_at: Time | None = Field(
        description="When it was revoked; null while it has not been.",
        examples=["2026-03-15T08:00:00.000000Z"],
    )
    last_used_at: Time | None = Field(
        description="When it was used last, as far as a minute tells; null while it has not been.",
        examples=["2026-03-15T08:00:00.000000Z"],
    )


class NewKeyAnswer(KeyAnswer):
    """A key, with its secret."""

    secret: str | None = Field(
        description="The key itself: what goes behind 'Bearer'. It is shown this once; null where an "
        "Idempotency-Key has the answer come once more.",
        examples=["cr_q3Hn0aT5uV8xYz1LmPw7RkBd2Ge4JcSf6oIiNtEyUa0"],
    )
