"""What every resource's wire form has in common."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StringConstraints,
    Tag,
)

Item = TypeVar("Item")


class Request(BaseModel):
    """A body from a client: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Answer(BaseModel):
    """A body to a client: it may gain fields."""

    model_config = ConfigDict(extra="allow")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("Control characters are not allowed here")
    return text


Time = Annotated[datetime, PlainSerializer(_utc, return_type=str)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)],
        Annotated[str, StringConstraints(max_length=512), AfterValidator(_printable)],
    ],
    Field(max_length=16, description="Your own notes: up to 16 pairs of text."),
]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)]


def word_or(words: Any, other: Any) -> Any:
    """A union of a few words and something that is no string, whose errors name only what was meant."""
    kind: Callable[[object], str] = lambda value: "word" if isinstance(value, str) else "other"  # noqa: E731
    return Annotated[Annotated[words, Tag("word")] | Annotated[other, Tag("other")], Discriminator(kind)]


class Warned(Answer):
    """Something that was done, but that you should know of."""

    code: str = Field(examples=["target_guessed"])
    param: str = Field(examples=["target"])
    message: str
    hint: str | None = None


class Page(Answer, Generic[Item]):
    """A page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | int | None = None
    last_id: str | int | None = None
    has_more: bool = False


class Renamed(Request):
    """New name or metadata of an object; a field that is left out stays as it is."""

    name: Name | None = Field(None, examples=["Penguins of 2007"])
    metadata: Labels | None = Field(None, examples=[{"team": "biology"}])


class ProblemFault(Answer):
    param: str = Field(description="Where it is.", examples=["architecture.layers[1].units"])
    code: str = Field(description="What it is, from one published table.", examples=["out_of_range"])
    message: str
    hint: str | None


class Problem(Answer):
    """What is wrong, for people and for programs (RFC 9457)."""

    type: str = Field(examples=["urn:chainrule:problem:invalid"])
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[ProblemFault]
    request_id: str
