"""The wire form of webhooks."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.jobs.answers import EVENT_TYPES
from app.schemas import Answer, CreatedAt, CreatedBy, Labels, Name, OwnName, OwnNotes, Renamed, Request, words

Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Type = Annotated[str, Field(json_schema_extra=words(EVENT_TYPES))]
Types = Annotated[list[Type], Field(min_length=1, max_length=len(EVENT_TYPES))]

QUIET = ("job.epoch", "job.checkpoint")
"""Types that come many times a minute; a webhook has them only when it asks."""

DEFAULT_TYPES = tuple(each for each in EVENT_TYPES if each not in QUIET)

_TYPES = "The types of events that are sent; default: all but job.epoch and job.checkpoint."


class WebhookCreate(Request):
    """Where this project's events are to be sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://example.com/chainrule", "types": ["job.succeeded", "job.failed"]}]
        }
    )

    url: Url = Field(description="Where to send them: https.", examples=["https://example.com/chainrule"])
    types: Types = Field(list(DEFAULT_TYPES), description=_TYPES, examples=[["job.succeeded", "job.failed"]])
    name: Name | None = Field(None, description="Your name for it.", examples=["chat room"])
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class WebhookChange(Renamed):
    """What is to be changed of a webhook; a field that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    url: Url | None = Field(
        None, description="Where to send the next.", examples=["https://example.com/chainrule"]
    )
    types: Types | None = Field(None, description="The types to send from now on.", examples=[["job.failed"]])
    enabled: bool | None = Field(
        None,
        description="false stops it; true lets it go on where it stopped, with all that came since.",
        examples=[True],
    )


class WebhookAnswer(Answer):
    """A webhook, without its secret."""

    object: Literal["webhook"] = Field("webhook", description="What this is.", examples=["webhook"])
    id: str = Field(description="Its id.", examples=["hook_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    url: str = Field(description="Where it sends events.", examples=["https://example.com/chainrule"])
    types: list[str] = Field(description="The types that it sends.", examples=[["job.succeeded"]])
    enabled: bool = Field(description="Whether it sends.", examples=[True])
    disabled_because: str | None = Field(
        description="Why it does not send; null while it does.", examples=["The receiver answered 410."]
    )
    waiting: int = Field(description="Jobs whose last message has not arrived yet.", examples=[0])
    last_error: str | None = Field(
        description="What went wrong with a message that is to be tried again; null: nothing.",
        examples=["The receiver answered 500."],
    )


class NewWebhookAnswer(WebhookAnswer):
    """A webhook, with its secret."""

    secret: str | None = Field(
        description="The key that its messages are signed with. It is shown this once; null when the answer "
        "is a replay.",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDYMmv5d3Lc4Q="],
    )
