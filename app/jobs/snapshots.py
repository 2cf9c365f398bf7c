"""Engine plans from job rows, and engine snapshots as bytes."""

import json
import math
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app import engine
from app.architectures.network import to_engine
from app.engine import Architecture, EarlyStopping, Epoch, Parameters, Plan, Snapshot
from app.storage.tables import Job

PROGRESS_SECONDS = 0.1
"""How long an engine that is inside an epoch may go on without looking up: a cancellation waits for it."""

OPTIMIZERS: dict[str, type[Any]] = {
    "gradient_descent": engine.GradientDescent,
    "momentum": engine.Momentum,
    "nesterov": engine.Nesterov,
    "rmsprop": engine.RMSprop,
    "adam": engine.Adam,
    "adamw": engine.AdamW,
    "lbfgs": engine.LBFGS,
}
SCHEDULES: dict[str, type[Any]] = {
    "constant": engine.Constant,
    "step": engine.Step,
    "exponential": engine.Exponential,
    "cosine": engine.Cosine,
    "plateau": engine.Plateau,
}


def plan_of(job: Job, training_rows: int) -> Plan:
    """The engine's plan of a resolved job."""
    training = job.training
    stopping = training["early_stopping"]
    size = training["batch_size"]
    return Plan(
        architecture=to_engine(job.architecture),
        cost=training["cost"],
        optimizer=_named(OPTIMIZERS, training["optimizer"]),
        batch_size=training_rows if size == "full" else min(size, training_rows),
        epochs=training["epochs"],
        lambda_=training["weight_decay"],
        seed=training["seed"],
        shuffle=training["shuffle"],
        dtype=training["dtype"],
        early_stopping=None if stopping is None else EarlyStopping(**stopping),
        schedule=_named(SCHEDULES, training["learning_rate_schedule"]),
        clip_norm=training["gradient_clip_norm"],
        time_budget=training["time_budget_seconds"],
        leaves=training["leaves"],
        metric="accuracy" if job.task == "classification" else "r2",
        progress_seconds=PROGRESS_SECONDS,
    )


def _named(kinds: dict[str, type[Any]], options: dict[str, Any]) -> Any:
    return kinds[options["name"]](**{field: value for field, value in options.items() if field != "name"})


def dump(snapshot: Snapshot, job_id: str, fence: int) -> bytes:
    """Safetensors; job and fence are part of it, so that no two claims ever share a snapshot's bytes."""
    arrays, scalars = snapshot.to_parts()
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    state = json.dumps(scalars, sort_keys=True)
    return save_tensors(tensors, metadata={"state": state, "job": job_id, "fence": str(fence)})


def load(plan: Plan, content: bytes) -> Snapshot:
    """What `dump` wrote, to the last bit."""
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, Any] = json.loads(content[8 : 8 + size])["__metadata__"]
    return Snapshot.from_parts(plan, load_tensors(content), json.loads(metadata["state"]))


def parameters_of(architecture: Architecture, content: bytes) -> Parameters:
    """Only the parameters of a snapshot."""
    tensors = load_tensors(content)
    pairs = [(tensors[f"W{layer}"], tensors[f"b{layer}"]) for layer in range(1, architecture.n)]
    return Parameters.of(architecture, pairs, tensors["W1"].dtype)


def epoch_row(job_id: str, epoch: Epoch) -> dict[str, Any]:
    """An engine epoch as a row of the ``epochs`` table."""
    return {
        "job_id": job_id,
        "epoch": epoch.epoch,
        "cost": epoch.cost,
        "data_cost": epoch.data_cost,
        "validation_cost": epoch.validation_cost,
        "metrics": {name: value if math.isfinite(value) else None for name, value in epoch.metrics.items()},
        "learning_rate": epoch.learning_rate,
        "gradient_norm": epoch.gradient_norm,
        "seconds": epoch.seconds,
        "diverged": epoch.diverged,
    }
