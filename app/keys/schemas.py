"""The wire form of API keys."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, Strict

from app.schemas import Answer, Name, Request, Time


class KeyCreate(Request):
    name: Name = Field(examples=["dashboard"])
    project: Name = Field("default", description="Made when it is new.")
    role: Literal["predict", "read", "write", "admin"] = Field(
        "write", description="Each may do what those before it may."
    )
    expires_at: Annotated[AwareDatetime, Strict(False)] | None = Field(
        None, examples=["2030-01-01T00:00:00Z"]
    )


class KeyAnswer(Answer):
    object: Literal["key"] = "key"
    id: str
    created_at: Time
    created_by: str | None
    name: str
    project: str
    role: str
    expires_at: Time | None
    revoked_at: Time | None


class NewKeyAnswer(KeyAnswer):
    secret: str = Field(description="The key itself. It is shown this once.")
