"""The writing of model rows, and their parameters, in the transaction that ends a job."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Trained:
    """What a job leaves: parameters (staged already) as they were after ``epoch``, and their encoding."""

    job: Job
    parameters: Parameters
    staged: Staged
    encoding: dict[str, Any]
    epoch: int


def add(session: Session, blobs: Blobs, trained: Trained, result: dict[str, Any]) -> str:
    """Write the model that a job leaves with its result; return the model's id."""
    blobs.attach(session, trained.staged)
    job, model_id = trained.job, new_id("mdl")
    # Anew: they may have been changed since the job was loaded.
    name, labels = session.execute(sa.select(Job.name, Job.labels).where(Job.id == job.id)).one()
    values = {
        "id": model_id,
        "project_id": job.project_id,
        "created_by": job.created_by,
        "created_at": now(),
        "name": name,
        "labels": labels,
        "job_id": job.id,
        "epoch": trained.epoch,
        "dataset_id": job.dataset_id,
        "dataset_sha256": job.dataset_sha256,
        "task": job.task,
        "architecture": job.architecture,
        "training": job.training,
        "encoding": trained.encoding,
        "parameter_count": trained.parameters.architecture.parameter_count,
        "parameters": trained.staged.sha256,
        "size_bytes": trained.staged.size,
        "sha256": trained.parameters.sha256(),
        "cost": result.get("cost"),
        "metrics": result.get("metrics") or {},
    }
    session.execute(sa.insert(Model).values(values))
    return model_id
