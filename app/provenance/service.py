"""Snapshots and manifests as clients see them."""

import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.history import RECOMPUTED
from app.jobs.states import TERMINAL
from app.storage.columns import to_json
from app.storage.tables import Blob, Epoch, Job, Model, Snapshot

ROWS_AT_ONCE = 10_000


def snapshots(session: Session, job_id: str, after: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Snapshots behind the number ``after``, oldest first; and whether there are more."""
    statement = (
        sa.select(Snapshot, Blob.size)
        .outerjoin(Blob, Blob.sha256 == Snapshot.content)
        .where(Snapshot.job_id == job_id, Snapshot.number > after)
        .order_by(Snapshot.number)
        .limit(limit + 1)
    )
    found = session.execute(statement).all()
    return [_answer(row, size) for row, size in found[:limit]], len(found) > limit


def _answer(row: Snapshot, size: int | None) -> dict[str, Any]:
    return {
        "job_id": row.job_id,
        "number": row.number,
        "epoch": row.epoch,
        "step": row.step,
        "sha256": row.parameters_sha256,
        "chain_sha256": row.chain_sha256,
        "kept": row.kept,
        "size_bytes": size,
        "created_at": row.created_at,
    }


def manifest(session: Session, job: Job) -> dict[str, Any]:
    """What the job was computed from, by what, and what came of it."""
    newest = sa.select(Snapshot.chain_sha256).where(
        Snapshot.job_id == job.id, Snapshot.number == job.snapshot_count
    )
    model = None if job.model_id is None else session.get(Model, job.model_id)
    return {
        "job_id": job.id,
        "task": job.task,
        "target": job.target[0] if len(job.target) == 1 else job.target,
        "features": job.features,
        "dataset": {"id": job.dataset_id, "sha256": job.dataset_sha256},
        "split": job.split,
        "architecture": job.architecture,
        "training": job.training,
        "seed": job.training["seed"],
        "initial_model_id": job.initial_model_id,
        "initial_parameters_sha256": job.initial_parameters,
        "versions": _versions(job),
        "fingerprint": job.fingerprint,
        "epochs": job.epochs_completed,
        "history_sha256": history_sha256(session, job) if job.status in TERMINAL else None,
        "snapshots": {"count": job.snapshot_count, "chain_sha256": session.scalar(newest)},
        "model": None if model is None else {"id": model.id, "sha256": model.sha256},
    }


def _versions(job: Job) -> dict[str, str | None] | None:
    if job.fingerprint is None or job.version is None:
        return None
    engine, numpy = job.fingerprint.get("engine"), job.fingerprint["numpy"]
    return {"chainrule": job.version, "engine": engine, "numpy": numpy}


def history_sha256(session: Session, job: Job) -> str:
    """SHA-256 of the columns of history that come out the same wherever they are computed.

    They are hashed as one list of objects in JSON: compact, names sorted, numbers as short as they can be
    read back.
    """
    columns = [getattr(Epoch, name) for name in ("epoch", *RECOMPUTED)]
    digest, separator = hashlib.sha256(b"["), ""
    for first in range(1, job.epochs_completed + 1, ROWS_AT_ONCE):
        part = Epoch.epoch.between(first, first + ROWS_AT_ONCE - 1)
        rows = sa.select(*columns).where(Epoch.job_id == job.id, part).order_by(Epoch.epoch)
        found = [dict(row) for row in session.execute(rows).mappings()]
        digest.update(f"{separator}{to_json(found, sort_keys=True)[1:-1]}".encode())
        separator = ","
    digest.update(b"]")
    return digest.hexdigest()
