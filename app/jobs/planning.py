"""What a job would do and take, without a job: reckoned from what it resolves to, and timed by its like."""

from typing import Any

from app.architectures.network import to_engine
from app.jobs import charges, reckoning, starts, submission, throughput
from app.jobs.schemas import JobCreate
from app.keys.service import Principal
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.database import Database


def plan(
    database: Database, blobs: Blobs, settings: Settings, principal: Principal, asked: JobCreate
) -> dict[str, Any]:
    """The plan as clients see it. Raises what `submission.create` would, and writes nothing."""
    with database.reading() as session:
        resolved = submission.resolved_of(session, database, blobs, settings, principal, asked)
        parts = principal.project_id, resolved.architecture, resolved.training
        pace = throughput.pace(session, *parts)
    if asked.initial_parameters is not None:
        starts.checked(asked.initial_parameters, resolved)
    network, training = to_engine(resolved.architecture), resolved.training
    epoch = charges.multiply_adds(network, resolved.rows)
    epochs, budget = training["epochs"], training["time_budget_seconds"]
    each = pace.factor * reckoning.seconds(network, resolved.rows, training, epoch)
    seconds = each * epochs if budget is None else min(each * epochs, budget)
    return {
        "task": resolved.task,
        "target": resolved.target[0] if len(resolved.target) == 1 else resolved.target,
        "features": resolved.features,
        "architecture": resolved.architecture,
        "training": training,
        "initial_model_id": resolved.initial_model_id,
        "rows": {name: getattr(resolved.rows, name) for name in ("train", "validation", "test")},
        "parameters": network.parameter_count,
        "multiply_adds": {"epoch": epoch, "total": epoch * epochs},
        "memory": {**resolved.need.to_json(), "allowed": settings.memory_of_a_job},
        "estimated_seconds": {"epoch": each, "total": seconds, "measured_jobs": pace.jobs},
        "warnings": resolved.warnings,
    }
