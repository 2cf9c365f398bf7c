"""The writing of model rows, and their parameters, in the transaction that ends a job."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.engine import Parameters
from app.models import parameters as codec
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now
from app.storage.tables import Job, Model


def stage(blobs: Blobs, parameters: Parameters) -> Staged:
    """Keep the parameters ahead of the transaction that names them."""
    return blobs.stage(codec.dump(parameters))


def add(
    session: Session,
    blobs: Blobs,
    job: Job,
    parameters: Parameters,
    staged: Staged,
    encoding: dict[str, Any],
    result: dict[str, Any],
) -> str:
    """Write the model that a job leaves with its result; return the model's id."""
    blobs.attach(session, staged)
    model_id = new_id("mdl")
    stopping = job.training["early_stopping"]
    restored = stopping is not None and stopping["restore_best_weights"] and result.get("best_epoch")
    values = {
        "id": model_id,
        "project_id": job.project_id,
        "created_by": job.created_by,
        "created_at": now(),
        "name": job.name,
        "labels": job.labels,
        "job_id": job.id,
        "epoch": restored or result.get("epochs", job.epochs_completed),
        "dataset_id": job.dataset_id,
        "dataset_sha256": job.dataset_sha256,
        "task": job.task,
        "architecture": job.architecture,
        "training": job.training,
        "encoding": encoding,
        "parameter_count": parameters.architecture.parameter_count,
        "parameters": staged.sha256,
        "sha256": parameters.sha256(),
        "cost": result.get("cost"),
        "metrics": result.get("metrics") or {},
    }
    session.execute(sa.insert(Model).values(values))
    return model_id
