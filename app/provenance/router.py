"""Reading a job's snapshots and its manifest."""

from typing import Annotated, Any

from fastapi import Query

from app.dependencies import JobId, PrincipalDep, StateDep, router
from app.jobs import service as jobs
from app.provenance import service
from app.provenance.schemas import ManifestAnswer, SnapshotAnswer
from app.schemas import Page

routes = router("/v1/jobs", "jobs")


@routes.get(
    "/{job_id}/snapshots",
    response_model=Page[SnapshotAnswer],
    summary="List snapshots",
    response_description="A page of snapshots, oldest first; ids are numbers.",
)
def snapshots(
    job_id: JobId,
    state: StateDep,
    principal: PrincipalDep,
    after: Annotated[
        int, Query(ge=0, lt=2**53, description="Number of the snapshot before the page.", examples=[20])
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="Most snapshots of the page.", examples=[100])
    ] = 100,
) -> dict[str, Any]:
    """Every snapshot that the job has taken, each chained to the one before by SHA-256."""
    with state.database.reading() as session:
        jobs.get(session, principal, job_id)
        rows, more = service.snapshots(session, job_id, after, limit)
    first, last = (rows[0]["number"], rows[-1]["number"]) if rows else (None, None)
    return {"data": rows, "first_id": first, "last_id": last, "has_more": more}


@routes.get(
    "/{job_id}/manifest",
    response_model=ManifestAnswer,
    summary="Read the manifest",
    response_description="The manifest.",
)
def manifest(job_id: JobId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """What the job was computed from, by what, and what came of it: enough to compute it again."""
    with state.database.reading() as session:
        return service.manifest(session, jobs.get(session, principal, job_id))
