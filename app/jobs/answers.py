"""The wire form of jobs, epochs, events and splits."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.architectures.schemas import NetworkAnswer
from app.codes import JOB_ERRORS, PROBLEMS
from app.jobs.schemas import Training
from app.jobs.states import State
from app.models.measures import SplitMeasures
from app.schemas import (
    Answer,
    CreatedAt,
    CreatedBy,
    Fingerprint,
    OwnName,
    OwnNotes,
    Shape,
    Time,
    Warned,
    word_or,
    words,
)

STOP_REASONS = ("epochs_completed", "early_stopping", "time_budget", "converged", "diverged", "cancelled")
EVENT_TYPES = (
    *("job.queued", "job.started", "job.epoch", "job.checkpoint", "job.recovered", "job.warning"),
    *("job.pausing", "job.paused", "job.resumed"),
    *("job.cancelling", "job.cancelled", "job.succeeded", "job.failed"),
)

JobRef = Annotated[str, Field(description="The job's id.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"])]
Cost = Annotated[float | None, Field(examples=[0.0421])]


class ResolvedTraining(Training):
    """How the job trains: as asked, with the defaults filled in and no "auto" left."""

    model_config = ConfigDict(extra="allow")

    cost: Literal["squared_error", "cross_entropy", "absolute_error", "huber"] = Field(
        description="J of an example; squared_error is (5).", examples=["cross_entropy"]
    )
    batch_size: Literal["full"] | int = Field(
        description="Examples per step; full: all of them.", examples=[32]
    )
    weight_decay: float = Field(
        description="lambda of (6): not divided by m, weights only.", examples=[0.0001]
    )
    stratify: bool = Field(description="Whether each class was split in proportion.", examples=[True])
    class_weight: dict[str, float] | None = Field(
        description="What a row of each class counts in costs and gradients; null: 1.",
        examples=[{"Adelie": 0.75, "Chinstrap": 1.6, "Gentoo": 0.95}],
    )
    threads: int = Field(description="Cores of the job, at most.", examples=[1])
    leaves: int = Field(
        description="The fixed parts that a step is cut into: they decide the last bits, and threads do not.",
        examples=[1],
    )
    keep_epochs: word_or(Literal["powers_of_two", "last", "all"], list[int]) = Field(  # type: ignore[valid-type]
        description="The epochs whose snapshots stay, beside the last.", examples=["powers_of_two"]
    )


class Progress(Answer):
    """How far a job is."""

    phase: Literal["waiting", "training", "paused", "done"] = Field(
        description="What it is doing.", examples=["training"]
    )
    completed: int = Field(description="Epochs that are complete.", examples=[37])
    total: int = Field(description="Most epochs that it will train.", examples=[200])
    unit: Literal["epoch"] = Field("epoch", description="What is counted.", examples=["epoch"])
    updated_at: Time | None = Field(
        description="When the last epochs were written.", examples=["2026-03-14T09:26:54.271828Z"]
    )


class JobResult(Answer):
    """What came of a job."""

    epochs: int = Field(description="Rows of history: epochs 1 … N.", examples=[57])
    cost: Cost = Field(description="J of (6) at the final parameters, on the training rows as weighted.")
    data_cost: Cost = Field(None, description="The first term of (6) at the final parameters.")
    validation_cost: Cost = Field(
        None,
        description="The first term of (6) at the final parameters, on the validation rows as weighted.",
    )
    best_epoch: int | None = Field(
        None, description="The epoch of least monitored cost; null without early stopping.", examples=[37]
    )
    stop_reason: str = Field(
        description="Why it ended.", examples=["early_stopping"], json_schema_extra=words(STOP_REASONS)
    )
    metrics: SplitMeasures | None = Field(
        description="The measures on each part of the split; every row counts alike."
    )


class JobError(Answer):
    """Why a job has failed."""

    code: str = Field(
        description="What it is, from one published table.",
        examples=["diverged"],
        json_schema_extra=words({**JOB_ERRORS, **PROBLEMS}),
    )
    message: str = Field(
        description="What it is, for people.", examples=["The cost of epoch 3 is not finite."]
    )
    param: str | None = Field(
        description="The option to look at, if there is one.", examples=["training.optimizer.learning_rate"]
    )
    hint: str | None = Field(
        None,
        description="A way out, if there is one.",
        examples=["Lower the learning rate, or standardize the features."],
    )


class PauseReason(Answer):
    """Why the server has paused a job."""

    code: str = Field(description="What it is, from one published table.", examples=["disk_full"])
    message: str = Field(
        description="What it is, for people.", examples=["There is no room for the next snapshot."]
    )


class JobAnswer(Answer):
    """A job. ``training`` is resolved, ``requested`` is what was sent."""

    object: Literal["job"] = Field("job", description="What this is.", examples=["job"])
    id: JobRef
    created_at: CreatedAt
    created_by: CreatedBy
    name: OwnName
    metadata: OwnNotes
    status: str = Field(
        description="Where it is. cancelled, succeeded and failed are final.",
        examples=["running"],
        json_schema_extra=words(State),
    )
    task: str = Field(
        description="What the model is to do; resolved.",
        examples=["classification"],
        json_schema_extra=words(("classification", "regression")),
    )
    target: str | list[str] = Field(
        description="The column that is predicted, or several numeric ones.", examples=["species"]
    )
    features: list[str] = Field(
        description="The columns that it learns from; resolved.",
        examples=[["island", "bill_length_mm", "bill_depth_mm"]],
    )
    dataset_id: str = Field(
        description="The dataset that it learns from.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    dataset_sha256: str = Field(
        description="SHA-256 of that dataset's content.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    model_id: str | None = Field(
        description="The newest model that it left, at a pause or at its end; null when it was deleted.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    architecture_id: str | None = Field(
        description="The stored architecture that was asked for.", examples=["arch_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    architecture: Annotated[dict[str, Any], Shape(NetworkAnswer)] = Field(
        description="The network's layers; resolved."
    )
    training: Annotated[dict[str, Any], Shape(ResolvedTraining)] = Field(
        description="How it trains; resolved."
    )
    initial_model_id: str | None = Field(
        description="The model that it starts from: its id, also where an alias was asked for.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    requested: dict[str, Any] = Field(
        description="The body that was sent; long arrays of numbers as their shape and SHA-256.",
        examples=[{"dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f", "target": "species"}],
    )
    fingerprint: Annotated[dict[str, Any], Shape(Fingerprint)] | None = Field(
        description="What computed it; null before it ran."
    )
    priority: int = Field(description="Higher runs first.", examples=[0])
    memory_bytes: int | None = Field(
        description="Memory that it was reckoned to need, at most.", examples=[96468992]
    )
    progress: Progress = Field(description="How far it is.")
    queue_position: int | None = Field(
        description="1 is next: how many jobs workers take up to and with this one, as things stand; "
        "1000: that or more; null when it is not queued.",
        examples=[1],
    )
    estimated_finish: Time | None = Field(
        description="If every epoch is trained, within its time budget, and takes as long as the last ones "
        "did; null where nothing says how long that is.",
        examples=["2026-03-14T09:27:12.161803Z"],
    )
    result: Annotated[dict[str, Any], Shape(JobResult)] | None = Field(
        description="What came of it; null before it ends, and where a crash ended it."
    )
    warnings: list[Warned] = Field(description="What was guessed or left out.")
    error: Annotated[dict[str, Any], Shape(JobError)] | None = Field(
        description="Why it has failed; else null."
    )
    retries: int = Field(description="How often it was tried again after it had failed.", examples=[0])
    paused_because: Annotated[dict[str, Any], Shape(PauseReason)] | None = Field(
        description="Why the server has paused it; null when it is not paused, or paused by a client."
    )
    started_at: Time | None = Field(
        description="When a worker first took it.", examples=["2026-03-14T09:26:53.602214Z"]
    )
    finished_at: Time | None = Field(description="When it ended.", examples=["2026-03-14T09:26:54.271828Z"])


class EpochMetrics(Answer):
    """accuracy for classification, r2 for regression."""

    accuracy: float | None = Field(
        None, description="Share that is right, as the minibatches saw it.", examples=[0.97]
    )
    validation_accuracy: float | None = Field(
        None, description="The same on the validation rows, at the end of the epoch.", examples=[0.95]
    )
    r2: float | None = Field(
        None, description="Share of the variance explained, as the minibatches saw it.", examples=[0.88]
    )
    validation_r2: float | None = Field(
        None, description="The same on the validation rows, at the end of the epoch.", examples=[0.85]
    )


class EpochAnswer(Answer):
    """One epoch. A number that is not finite is null, and ``diverged`` says so."""

    epoch: int = Field(description="1, 2, …", examples=[37])
    cost: Cost = Field(
        description="J of (6) as the minibatches saw it before their updates, averaged over examples; in "
        "full batch exactly J at the start of the epoch. Weighted rows count as their weights say."
    )
    data_cost: Cost = Field(description="The first term of (6), as cost is.")
    validation_cost: Cost = Field(
        description="The first term of (6) on the validation rows as weighted, at the end of the epoch."
    )
    metrics: Annotated[dict[str, float | None], Shape(EpochMetrics)] = Field(
        description="How good the network is; every row counts alike."
    )
    learning_rate: float = Field(description="alpha of this epoch.", examples=[0.001])
    gradient_norm: float | None = Field(
        description="Euclidean norm of (9) and (10) together, of the epoch's last step, before clipping.",
        examples=[0.213],
    )
    seconds: float = Field(description="Time spent computing, in seconds.", examples=[0.0017])
    diverged: bool = Field(description="Whether the cost stopped being finite here.", examples=[False])


class EventAnswer(Answer):
    """Something that happened to a job."""

    object: Literal["event"] = Field("event", description="What this is.", examples=["event"])
    id: str = Field(description="Its id.", examples=["evt_0n5c1k4v8d2s6m9q3x7z1b5f"])
    seq: int = Field(description="1, 2, … within the job, without gaps.", examples=[3])
    job_id: JobRef
    created_at: Time = Field(description="When it was written.")
    level: Literal["info", "warning", "error"] = Field(description="How bad it is.", examples=["info"])
    type: str = Field(
        description="What happened.", examples=["job.epoch"], json_schema_extra=words(EVENT_TYPES)
    )
    message: str = Field(description="What happened, for people.", examples=["Epochs 1 to 2"])
    data: dict[str, Any] = Field(
        description="job.epoch: first_epoch, last_epoch and epochs, their rows of history. job.checkpoint: "
        "a snapshot's number, the epoch and step to go on from, kept, parameters_sha256 and chain_sha256. "
        "job.paused: model_id. The job's end: model_id and error.",
        examples=[{"epoch": 37, "step": 0}],
    )


EVENT_STREAM = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "Server-sent events; data is an event as in the list.",
            "examples": ['id: 1\nevent: job.queued\ndata: {"object":"event","seq":1}\n\n'],
        }
    }
}
"""The media type of events as they happen, for OpenAPI."""
