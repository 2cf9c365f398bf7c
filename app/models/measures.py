"""The wire form of how good a model is: brief for each part of a split, full for an evaluation."""

from typing import Literal

from pydantic import Field

from app.schemas import Answer


class Measures(Answer):
    """Classification has accuracy and log_loss; regression rmse, mae and r2, in the target's own units.

    Every row counts alike, whatever it weighed in training.
    """

    accuracy: float | None = Field(None, description="Share of rows that are right.", examples=[0.98])
    log_loss: float | None = Field(
        None, description="Mean of -ln of the true class's probability, in nats.", examples=[0.07]
    )
    rmse: float | None = Field(None, description="Root of the mean squared error.", examples=[12.5])
    mae: float | None = Field(None, description="Mean absolute error.", examples=[9.8])
    r2: float | None = Field(
        None,
        description="Share of the variance that is explained; of several targets, their mean; null for a "
        "constant target.",
        examples=[0.91],
    )


class SplitMeasures(Answer):
    """The measures of each part of the split; null for an empty part."""

    train: Measures | None = Field(None, description="On the rows that were trained on.")
    validation: Measures | None = Field(None, description="On the rows that steer early stopping.")
    test: Measures | None = Field(None, description="On the rows that were held out.")


class ClassMeasures(Answer):
    """One class against all others."""

    class_: str = Field(alias="class", description="The class.", examples=["Adelie"])
    precision: float = Field(
        description="Of the rows given this class, the share that are of it; 0 where none was given it.",
        examples=[0.96],
    )
    recall: float = Field(
        description="Of the rows of this class, the share that were given it; 0 where there are none.",
        examples=[1.0],
    )
    f1: float = Field(description="Harmonic mean of precision and recall.", examples=[0.98])
    support: int = Field(description="Rows of this class.", examples=[23])


class ConfusionMatrix(Answer):
    """How often each class was given to each."""

    labels: list[str] = Field(
        description="The classes, in code-point order.", examples=[["Adelie", "Chinstrap", "Gentoo"]]
    )
    rows_are: Literal["true"] = Field(
        description="A row is a true class, a column a predicted one.", examples=["true"]
    )
    counts: list[list[int]] = Field(
        description="Rows of the dataset, by true and predicted class.",
        examples=[[[23, 0, 0], [1, 9, 0], [0, 0, 18]]],
    )


class EvaluationMeasures(Measures):
    """Everything that is measured; what is there depends on the task."""

    macro_f1: float | None = Field(
        None, description="Mean of f1 over the classes that have rows.", examples=[0.97]
    )
    classes: list[ClassMeasures] | None = Field(None, description="Each class against all others.")
    confusion_matrix: ConfusionMatrix | None = Field(
        None, description="How often each class was given to each."
    )
    roc_auc: float | None = Field(
        None,
        description="Chance that a row of the class scores above another: of two classes the second's, of "
        "more the mean of each against the rest; null where a class has no rows.",
        examples=[0.999],
    )
