"""The wire form of predictions."""

from typing import Any

from pydantic import Field

from app.schemas import Answer, Request


class PredictRequest(Request):
    """Named raw rows, or encoded inputs for models of numbers only."""

    rows: list[dict[str, Any]] | None = Field(
        None, description="Raw values by column name; null is imputed.", examples=[[{"bill_length_mm": 39.1}]]
    )
    inputs: list[list[float]] | None = Field(None, description="Encoded rows of s_1 numbers.")


class PredictionWarning(Answer):
    row: int
    param: str
    code: str
    message: str


class PredictAnswer(Answer):
    model_id: str
    predictions: list[Any] = Field(description="Class names, or numbers in the target's units.")
    probabilities: list[dict[str, float]] | None = Field(description="By class; null for regression.")
    outputs: list[list[float | None]] = Field(description="a^(n) of (4), as the network has it.")
    warnings: list[PredictionWarning]
