"""The wire form of evaluations that are kept."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.models.schemas import EvaluateRequest, EvaluationAnswer
from app.schemas import Answer, CreatedAt, CreatedBy, Labels, Name, OwnName, OwnNotes, Request, Shape


class ImportanceRequest(Request):
    """How permutation importance is measured."""

    repeats: int = Field(
        5, ge=1, le=100, description="How often each column is dealt out anew.", examples=[5]
    )
    seed: int = Field(0, ge=0, lt=2**53, description="Of the dealing, and of the rows drawn.", examples=[0])


class EvaluationCreate(EvaluateRequest):
    """What is measured, and on which rows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"split": "test", "importance": {"repeats": 5}, "worst_rows": 10}]}
    )

    worst_rows: int = Field(
        10, ge=0, le=1000, description="How many of the costliest rows are named.", examples=[10]
    )
    importance: ImportanceRequest | None = Field(
        None,
        description="Measure also what each column is worth; it takes as long as columns times repeats "
        "evaluations.",
        examples=[{"repeats": 5, "seed": 0}],
    )
    name: Name | None = Field(None, description="Your name for it.", examples=["before the sale"])
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class RocPoint(Answer):
    """All rows whose probability is at least the threshold are taken for the class."""

    threshold: float | None = Field(description="Null: none is.", examples=[0.5])
    false_positive_rate: float = Field(description="Share of the other rows among them.", examples=[0.02])
    true_positive_rate: float = Field(description="Share of the class's rows among them.", examples=[0.97])


class RocCurve(Answer):
    """A class against all others; thinned to about a hundred points."""

    class_: str = Field(alias="class", description="The class.", examples=["Adelie"])
    points: list[Annotated[dict[str, Any], Shape(RocPoint)]] = Field(
        description="From the highest threshold down."
    )


class CalibrationPoint(Answer):
    """Rows whose class was given with a probability from one bound up to the other."""

    from_: float = Field(alias="from", description="Lower bound.", examples=[0.9])
    to: float = Field(description="Upper bound.", examples=[1.0])
    row_count: int = Field(description="How many they are.", examples=[40])
    probability: float = Field(description="Their mean probability.", examples=[0.96])
    accuracy: float = Field(description="How many of them are right.", examples=[0.95])


class Calibration(Answer):
    """Whether "90 %" is right nine times in ten."""

    points: list[Annotated[dict[str, Any], Shape(CalibrationPoint)]] = Field(
        description="Tenths of the probability that have rows."
    )
    expected_error: float = Field(
        description="Mean distance of probability and accuracy, over the rows.", examples=[0.03]
    )


class WorstRow(Answer):
    """A row that costs much."""

    row: int = Field(description="Its number in the dataset, as in its rows.", examples=[117])
    cost: float | None = Field(description="J of (5), or its extension.", examples=[3.2])
    target: Any = Field(
        description="What is right: a class, a number, or numbers by name.", examples=["Gentoo"]
    )
    prediction: Any = Field(description="What was predicted; null: nothing could be.", examples=["Adelie"])
    probability: float | None = Field(
        description="What the right class was given; null for regression.", examples=[0.04]
    )


class Loss(Answer):
    """Over the repeats."""

    mean: float = Field(description="Mean.", examples=[0.31])
    std: float = Field(description="Standard deviation of the repeats.", examples=[0.02])


class ColumnImportance(Answer):
    """What is lost when the column's values are dealt out anew; near 0 or below: nothing."""

    feature: str = Field(description="The raw column.", examples=["bill_length_mm"])
    cost_increase: Annotated[dict[str, Any], Shape(Loss)] | None = Field(
        description="By how much the cost grows; null where it is not finite."
    )
    accuracy_decrease: Annotated[dict[str, Any], Shape(Loss)] | None = Field(
        None, description="Classification: by how much the accuracy falls."
    )
    r2_decrease: Annotated[dict[str, Any], Shape(Loss)] | None = Field(
        None, description="Regression: by how much r2 falls; null for a constant target."
    )


class Importance(Answer):
    """Permutation importance of each raw column."""

    row_count: int = Field(description="Rows that were drawn for it, at most 10,000.", examples=[51])
    repeats: int = Field(description="How often each column was dealt out anew.", examples=[5])
    seed: int = Field(description="The seed.", examples=[0])
    columns: list[Annotated[dict[str, Any], Shape(ColumnImportance)]] = Field(
        description="In the model's order."
    )


class KeptEvaluation(EvaluationAnswer):
    """How good a model is on some rows, kept."""

    id: str = Field(description="Its id.", examples=["evl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    roc: list[Annotated[dict[str, Any], Shape(RocCurve)]] | None = Field(
        description="Classification with at most 20 classes: a curve for each class, of two for the second."
    )
    calibration: Annotated[dict[str, Any], Shape(Calibration)] | None = Field(
        description="Classification: how often what is given with a probability is right."
    )
    worst_rows: list[Annotated[dict[str, Any], Shape(WorstRow)]] = Field(
        description="The costliest rows, first the worst."
    )
    importance: Annotated[dict[str, Any], Shape(Importance)] | None = Field(
        description="What each column is worth; null where it was not asked for."
    )
