"""The wire form of jobs, their training options, epochs and events."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from app.architectures.schemas import ArchitectureSpec
from app.schemas import Answer, Labels, Name, Reference, Request, Time, Warned, word_or

Fraction = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]


class GradientDescent(Request):
    """(7)-(8) of the paper."""

    name: Literal["gradient_descent"] = "gradient_descent"
    learning_rate: Rate = Field(0.1, description="alpha of (7)-(8).")


class Momentum(Request):
    """Gradient descent with a velocity v: v ← momentum·v − alpha·∇, θ ← θ + v."""

    name: Literal["momentum"] = "momentum"
    learning_rate: Rate = Field(0.01, description="alpha.")
    momentum: Decay = 0.9


class Adam(Request):
    """Kingma & Ba 2015, algorithm 1, with both bias corrections."""

    name: Literal["adam"] = "adam"
    learning_rate: Rate = Field(0.001, description="alpha.")
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    epsilon: Rate = 1e-8


Optimizer = Annotated[
    Annotated[GradientDescent, Tag("gradient_descent")]
    | Annotated[Momentum, Tag("momentum")]
    | Annotated[Adam, Tag("adam")],
    Field(discriminator="name", description="How parameters are updated."),
]


class EarlyStopping(Request):
    """Stop when the monitored cost has not fallen for a while. Names as in Keras."""

    monitor: Literal["validation_cost", "cost"] = "validation_cost"
    min_delta: float = Field(0.0, ge=0, description="A smaller fall does not count.")
    patience: int = Field(20, ge=1, le=1_000_000, description="Epochs without a fall before stopping.")
    restore_best_weights: bool = Field(True, description="End with the parameters of the best epoch.")
    start_from_epoch: int = Field(0, ge=0, le=10_000_000, description="Epochs that are not looked at.")


class Training(Request):
    """How to train. What is left out, or "auto", is resolved when the job is made."""

    preset: Literal["paper"] | None = Field(
        None,
        description="paper: squared_error, gradient_descent, full batch, no split, no early stopping, no "
        "standardising, float64. Fields beside it win.",
    )
    cost: Literal["auto", "squared_error", "cross_entropy"] = Field(
        "auto", description="squared_error is (5). auto: cross_entropy for classification."
    )
    optimizer: Optimizer = Adam()
    batch_size: word_or(Literal["auto", "full"], Annotated[int, Field(ge=1, le=2**31)]) = Field(  # type: ignore[valid-type]
        "auto", description="Examples per step; a smaller last minibatch is used, not dropped."
    )
    epochs: int = Field(200, ge=1, le=10_000_000, description="Most passes over the training rows.")
    weight_decay: float = Field(0.0, ge=0, description="lambda of (6): not divided by m, weights only.")
    validation_fraction: Fraction = Field(0.15, description="Share of rows that steer early stopping.")
    test_fraction: Fraction = Field(0.15, description="Share of rows held out until the end.")
    stratify: word_or(Literal["auto"], bool) = Field(  # type: ignore[valid-type]
        "auto", description="Split each class in proportion; auto: for classification."
    )
    early_stopping: EarlyStopping | None = Field(EarlyStopping(), description="null: train every epoch.")
    standardize: bool = Field(True, description="Scale number features, and a regression target.")
    shuffle: bool = Field(True, description="New minibatches every epoch.")
    seed: int = Field(0, ge=0, lt=2**63, description="Decides split, first weights and shuffling.")
    dtype: Literal["float32", "float64"] = "float32"
    threads: word_or(Literal["auto"], Literal[1]) = Field(  # type: ignore[valid-type]
        "auto", description="Threads of one job; they never change a bit of the result."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_the_default_optimizer(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and isinstance(optimizer := sent.get("optimizer"), dict):
            default = "gradient_descent" if sent.get("preset") == "paper" else "adam"
            return {**sent, "optimizer": {"name": default, **optimizer}}
        return sent


class LayerParameters(Request):
    """W^(l), s_{l+1} rows of s_l numbers, and b^(l), s_{l+1} numbers."""

    W: list[list[float]]
    b: list[float]


def _targets(value: object) -> str:
    return "several" if isinstance(value, list) else "one"


class JobCreate(Request):
    """A training run. Only a dataset and a target are needed."""

    dataset_id: Reference = Field(examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
    target: Annotated[
        Annotated[str, Tag("one")] | Annotated[list[str], Field(min_length=1), Tag("several")],
        Discriminator(_targets),
    ] = Field(description="The column to predict, or several numeric ones.", examples=["species"])
    task: Literal["auto", "classification", "regression"] = "auto"
    features: list[str] | None = Field(
        None, description="The columns to predict from; default: every one with used_by_default."
    )
    architecture: word_or(Literal["auto"], ArchitectureSpec) = Field(  # type: ignore[valid-type]
        "auto", description="The network's layers."
    )
    architecture_id: Reference | None = Field(None, description="A stored architecture instead.")
    training: Training = Training()
    initial_parameters: list[LayerParameters] | None = Field(
        None, description="Where to start: W^(1), b^(1), W^(2), … in the paper's shapes."
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher runs first.")
    name: Name | None = Field(None, examples=["penguins, first try"])
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class Progress(Answer):
    phase: Literal["waiting", "training", "done"]
    completed: int
    total: int
    unit: Literal["epoch"] = "epoch"
    updated_at: Time | None


class JobAnswer(Answer):
    """A job. ``training`` is resolved, ``requested`` is what was sent."""

    object: Literal["job"] = "job"
    id: str = Field(examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: Time
    created_by: str
    name: str | None
    metadata: dict[str, str]
    status: str = Field(description="queued, running, cancelling, cancelled, succeeded or failed.")
    task: str
    target: str | list[str]
    features: list[str]
    dataset_id: str
    dataset_sha256: str
    model_id: str | None
    architecture_id: str | None
    architecture: dict[str, Any]
    training: dict[str, Any]
    requested: dict[str, Any]
    fingerprint: dict[str, Any] | None = Field(description="What computed it: NumPy, BLAS, core type.")
    priority: int
    progress: Progress
    queue_position: int | None = Field(description="1 is next; null when it is not queued.")
    estimated_finish: Time | None
    result: dict[str, Any] | None
    warnings: list[Warned]
    error: dict[str, Any] | None
    started_at: Time | None
    finished_at: Time | None


class EpochAnswer(Answer):
    """One epoch. A number that is not finite is null, and ``diverged`` says so."""

    epoch: int
    cost: float | None = Field(description="J of (6) as the minibatches saw it, averaged over examples.")
    data_cost: float | None = Field(description="The first term of (6).")
    validation_cost: float | None = Field(description="The first term of (6) on the validation rows.")
    metrics: dict[str, float | None]
    learning_rate: float
    gradient_norm: float | None
    seconds: float
    diverged: bool


class EventAnswer(Answer):
    object: Literal["event"] = "event"
    id: str
    seq: int
    job_id: str
    created_at: Time
    level: Literal["info", "warning", "error"]
    type: str = Field(examples=["job.epoch"])
    message: str
    data: dict[str, Any]


class SplitAnswer(Answer):
    """Row numbers, from 0, of each part of the split."""

    object: Literal["split"] = "split"
    train: list[int]
    validation: list[int]
    test: list[int]
