"""The wire form of models, their parameters, evaluations and traces."""

from typing import Any, Literal

from pydantic import Field

from app.schemas import Answer, Reference, Request, Time


class ModelAnswer(Answer):
    object: Literal["model"] = "model"
    id: str = Field(examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: Time
    created_by: str
    name: str | None
    metadata: dict[str, str]
    job_id: str
    epoch: int = Field(description="The epoch whose parameters these are.")
    dataset_id: str
    dataset_sha256: str
    task: str
    architecture: dict[str, Any]
    parameter_count: int
    inputs: list[dict[str, Any]] = Field(description="Raw columns, in order: name, type, categories.")
    outputs: list[dict[str, Any]]
    classes: list[str] | None = Field(description="In code-point order; null for regression.")
    cost: float | None = Field(description="J of (6) at these parameters, on the training rows.")
    metrics: dict[str, Any]
    sha256: str = Field(description="Of the parameter bytes alone.")


class LayerAnswer(Answer):
    W: list[list[float]] = Field(description="W^(l): s_{l+1} rows of s_l numbers.")
    b: list[float] = Field(description="b^(l): s_{l+1} numbers.")


class ParametersAnswer(Answer):
    object: Literal["parameters"] = "parameters"
    data: list[LayerAnswer]


class EvaluateRequest(Request):
    """A part of the training dataset, or another dataset with the same columns."""

    split: Literal["train", "validation", "test"] | None = Field(None, description="Default: test.")
    dataset_id: Reference | None = None


class EvaluationAnswer(Answer):
    object: Literal["evaluation"] = "evaluation"
    model_id: str
    dataset_id: str
    split: str | None
    row_count: int
    cost: float | None = Field(description="The first term of (6) on these rows.")
    metrics: dict[str, Any]


class TraceRequest(Request):
    """Examples to follow through the network: named rows with their target, or encoded numbers."""

    rows: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=100)
    inputs: list[list[float]] | None = Field(None, min_length=1, max_length=100, description="x, s_1 each.")
    targets: list[list[float]] | None = Field(None, min_length=1, max_length=100, description="y, s_n each.")
    learning_rate: float = Field(0.1, gt=0, description="alpha of (7)-(8).")
    weight_decay: float | None = Field(None, ge=0, description="lambda; default: the training's own.")


class TraceAnswer(Answer):
    """One iteration of the paper, every number in float64; lists of examples have a row per example."""

    object: Literal["trace"] = "trace"
    model_id: str
    s: list[int] = Field(description="s_1 … s_n.", examples=[[2, 3, 1]])
    cost: dict[str, Any] = Field(description="examples: J of (5) each; overall: J of (6).")
    layers: list[dict[str, Any]] = Field(description="l, z (2), a (3), f_prime, delta (14)-(18).")
    gradients: list[dict[str, Any]] = Field(description="l, W (9), b (10).")
    update: dict[str, Any] = Field(description="alpha, lambda, and the parameters after (7)-(8).")
    equations: dict[str, str]
