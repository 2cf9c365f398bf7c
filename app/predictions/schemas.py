"""The wire form of predictions."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.schemas import Answer, Matrix, Request


class PredictRequest(Request):
    """Named raw rows, or encoded inputs for models of numbers only."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rows": [{"island": "Torgersen", "bill_length_mm": 39.1, "bill_depth_mm": 18.7}]}]
        }
    )

    rows: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = Field(
        None,
        description="Raw values by column name; null is imputed as in training.",
        examples=[[{"island": "Torgersen", "bill_length_mm": 39.1, "bill_depth_mm": 18.7}]],
    )
    inputs: Matrix | None = Field(
        None, description="x: encoded rows of s_1 numbers.", examples=[[[0.05, 0.1]]]
    )


class PredictionWarning(Answer):
    """A value that was encoded, but perhaps not as meant."""

    row: int = Field(description="The row, from 0.", examples=[0])
    param: str = Field(description="The value's place.", examples=["rows[0].island"])
    code: str = Field(description="What it is, for programs.", examples=["unknown_category"])
    message: str = Field(
        description="What it is, for people.",
        examples=["No training row has this category: it was encoded as unknown."],
    )


class PredictAnswer(Answer):
    """An answer for each row, in the order of the rows."""

    model_id: str = Field(
        description="The id of the model that answered.", examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    predictions: list[Any] = Field(
        description="Class names, or numbers in the target's units; of several targets, objects by name. "
        "Null where an output is not finite.",
        examples=[["Adelie"]],
    )
    probabilities: list[dict[str, float | None]] | None = Field(
        description="By class, adding up to 1; null for regression. Numbers that are not finite are null, "
        "and a warning not_finite says so.",
        examples=[[{"Adelie": 0.98, "Chinstrap": 0.015, "Gentoo": 0.005}]],
    )
    outputs: list[list[float | None]] = Field(
        description="a^(n) of (4), as the network has it: rows of s_n numbers.",
        examples=[[[0.98, 0.015, 0.005]]],
    )
    warnings: list[PredictionWarning] = Field(
        description="Values that were encoded, but perhaps not as meant, and rows without a prediction."
    )
