"""The wire form of a dataset's profile."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.datasets.schemas import ColumnAnswer
from app.schemas import Answer, Shape, Warned, words

MEASURES = ("pearson", "correlation_ratio", "cramers_v")


class AssociationAnswer(Answer):
    """How much a column says about the target, by itself."""

    measure: str = Field(
        description="pearson: r of two numbers; cramers_v: V of two categories; correlation_ratio: of a "
        "number and a category, the root of the share of the number's variance that is between categories.",
        examples=["correlation_ratio"],
        json_schema_extra=words(MEASURES),
    )
    value: float | None = Field(
        description="-1 to 1 for pearson, else 0 to 1; null where too little is known.", examples=[0.83]
    )
    suspect: bool = Field(
        description="Whether the column alone all but gives the target away, as one does that is known only "
        "after it.",
        examples=[False],
    )


class ProfiledColumn(ColumnAnswer):
    """A column, and what it says about the target."""

    association: AssociationAnswer | None = Field(
        description="With the target; null of the target itself, of text, and where no target was named."
    )


class ProfileAnswer(Answer):
    """A dataset's columns, and what each says about a target."""

    object: Literal["profile"] = Field("profile", description="What this is.", examples=["profile"])
    dataset_id: str = Field(description="The dataset.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    row_count: int = Field(description="Rows.", examples=[344])
    target: str | None = Field(description="The target that was named.", examples=["species"])
    task: str | None = Field(
        description="What a job with this target would do: classification or regression.",
        examples=["classification"],
    )
    columns: list[Annotated[dict[str, Any], Shape(ProfiledColumn)]] = Field(
        description="The columns, in the order of the file."
    )
    warnings: list[Warned] = Field(description="What was set aside, and what looks odd about the target.")
