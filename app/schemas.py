"""What every resource's wire form has in common."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    Tag,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import definitions_schema

from app.codes import FAULTS, PROBLEMS, WARNINGS

Item = TypeVar("Item")


class Request(BaseModel):
    """A body from a client: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def as_sent(self) -> dict[str, Any]:
        """The fields that were sent, as JSON; neither their order nor a default of ours plays a part."""
        return self.model_dump(mode="json", exclude_unset=True)


class Answer(BaseModel):
    """A body to a client: it may gain fields."""

    model_config = ConfigDict(extra="allow")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, breaks of lines, and what turns the direction of the text behind it."""


def _printable(text: str) -> str:
    if _UNSEEN.search(text):
        raise ValueError("Control characters, also those of the direction of text, are not allowed here")
    return text


def normal(text: str) -> str:
    """A name as it is kept and compared (NFC): what looks the same to people is the same name."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


Time = Annotated[
    datetime, PlainSerializer(_utc, return_type=str), Field(examples=["2026-03-14T09:26:53.589793Z"])
]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_printable),
    AfterValidator(normal),
]
Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)],
        Annotated[str, StringConstraints(max_length=512), AfterValidator(_printable)],
    ],
    Field(max_length=16, description="Your own notes: up to 16 pairs of text."),
]
Numbers = Annotated[list[float], Field(fail_fast=True)]
Matrix = Annotated[list[Numbers], Field(fail_fast=True)]
"""Rows of numbers; the first that is wrong is told, not two million of them."""
Reference = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)]

CreatedAt = Annotated[Time, Field(description="When it was made.")]
CreatedBy = Annotated[
    str, Field(description="Id of the key that made it.", examples=["key_1c8k3v6n0q5x2z7m4d9s1b6f"])
]
OwnName = Annotated[
    str | None, Field(description="Your name for it, if you gave it one.", examples=["penguins"])
]
OwnNotes = Annotated[dict[str, str], Field(description="Your own notes.", examples=[{"team": "biology"}])]


def word_or(words: Any, other: Any) -> Any:
    """A union of a few words and something that is no string, whose errors name only what was meant."""
    kind: Callable[[object], str] = lambda value: "word" if isinstance(value, str) else "other"  # noqa: E731
    return Annotated[Annotated[words, Tag("word")] | Annotated[other, Tag("other")], Discriminator(kind)]


def words(known: Iterable[str]) -> dict[str, Any]:
    """The values that a text has today: an enum in OpenAPI alone, for clients must accept further ones."""
    return {"enum": list(known)}


class Shape:
    """Says in OpenAPI that a plain object, passed on as it was stored, has the fields of ``answer``."""

    def __init__(self, answer: type["Answer"]) -> None:
        self.answer = answer

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # As a definition it is written once and referred to by its name.
        return handler(definitions_schema(self.answer.__pydantic_core_schema__, []))


class Warned(Answer):
    """Something that was done, but that you should know of."""

    code: str = Field(
        description="What it is, for programs.",
        examples=["missing_target"],
        json_schema_extra=words((*FAULTS, *WARNINGS)),
    )
    param: str = Field(description="What it is about.", examples=["target"])
    message: str = Field(
        description="What it is, for people.",
        examples=["2 rows have no target value; they are in no split."],
    )
    hint: str | None = Field(
        None, description="A way out, if there is one.", examples=["Name it in a job's features to use it."]
    )


class Page(Answer, Generic[Item]):
    """A page of a list."""

    model_config = ConfigDict(json_schema_extra={"description": "A page of a list."})

    object: Literal["list"] = Field("list", description="What this is.", examples=["list"])
    data: list[Item] = Field(description="The items of this page, in order.")
    first_id: str | int | None = Field(
        None,
        description="Id, or number, of the page's first item; null when it is empty.",
        examples=["job_1c8k3v6n0q5x2z7m4d9s1b6f"],
    )
    last_id: str | int | None = Field(
        None,
        description="Id, or number, of the page's last item: the next page's ?after=.",
        examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    has_more: bool = Field(False, description="Whether there are items behind this page.", examples=[True])


class Renamed(Request):
    """New name or metadata of an object; a field that is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Penguins of 2007", "metadata": {"team": "biology"}}]}
    )

    name: Name | None = Field(
        None, description="The new name; null takes the old one away.", examples=["Penguins of 2007"]
    )
    metadata: Labels | None = Field(
        None,
        description="The new notes, instead of all old ones; null leaves them.",
        examples=[{"team": "biology"}],
    )


class Fingerprint(Answer):
    """What the bits of a result depend on, beside the data and the options."""

    engine: str = Field(
        description="The engine's version: it changes whenever the bits of some result do.", examples=["1"]
    )
    numpy: str = Field(description="NumPy's version.", examples=["2.4.6"])
    blas: str = Field(description="NumPy's BLAS and its version.", examples=["scipy-openblas 0.3.31"])
    blas_core: str | None = Field(
        description="The kind of processor that BLAS chose its kernels for; null where it does not say.",
        examples=["SkylakeX"],
    )
    machine: str = Field(description="The processor's architecture.", examples=["x86_64"])
    instructions: list[str] = Field(
        description="The newest instructions of the processor that NumPy knows.", examples=[["AVX2"]]
    )
    blas_threads: str = Field(description="Threads of one BLAS call, or automatic.", examples=["1"])
    direct_products: bool = Field(
        description="Whether gradient descent updates a large W by one product, with no gradient in memory.",
        examples=[True],
    )


class ProblemFault(Answer):
    """One thing that is wrong, where it is, and a way out."""

    param: str = Field(description="Where it is.", examples=["architecture.layers[1].units"])
    code: str = Field(
        description="What it is, from one published table.",
        examples=["out_of_range"],
        json_schema_extra=words((*FAULTS, *WARNINGS, *PROBLEMS)),
    )
    message: str = Field(
        description="What it is, for people. The rejected value is never repeated.",
        examples=["Input should be greater than or equal to 1."],
    )
    hint: str | None = Field(
        description="A way out, if there is one.", examples=["Here this is called training.cost."]
    )


class Problem(Answer):
    """What is wrong, for people and for programs (RFC 9457)."""

    type: str = Field(
        description="The kind of problem, as a URN that ends in its code.",
        examples=["urn:chainrule:problem:invalid"],
    )
    title: str = Field(
        description="The kind of problem, in words.",
        examples=["The request is well formed, but something in it is not right"],
    )
    status: int = Field(description="The HTTP status of the answer.", examples=[422])
    detail: str = Field(
        description="What is wrong this time.",
        examples=["architecture.layers[1].units: Input should be greater than or equal to 1."],
    )
    instance: str = Field(description="The path that was asked for.", examples=["/v1/jobs"])
    code: str = Field(
        description="The kind of problem, from one published table.",
        examples=["invalid"],
        json_schema_extra=words(PROBLEMS),
    )
    errors: list[ProblemFault] = Field(
        description="Everything that is wrong with the request; empty where nothing can be pointed at."
    )
    allowed: list[str] = Field(
        [],
        description="409: the actions that the object's state takes; 405: the methods that the path takes.",
        examples=[["delete"]],
    )
    quota: str | None = Field(
        None, description="quota_reached, daily_quota_reached: which limit.", examples=["max_bytes"]
    )
    limit: int | None = Field(None, description="Beside quota: the limit itself.", examples=[1_000_000])
    used: int | None = Field(None, description="Beside quota: what counts against it.", examples=[999_000])
    request_id: str = Field(description="The answer's X-Request-Id.", examples=["5f2c9a7e41d0b8836ce1f094"])


class Named(Protocol):
    """A row with a client's own name and notes."""

    name: Any
    labels: Any


def rename(row: Named, body: Renamed) -> None:
    """Apply a PATCH: only the fields that were sent."""
    if "name" in body.model_fields_set:
        row.name = body.name
    if body.metadata is not None:
        row.labels = body.metadata
