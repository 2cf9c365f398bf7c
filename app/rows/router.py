"""Reading what a dataset holds: pages of rows, or all of it."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import FileResponse

from app.datasets import parquet, service
from app.datasets.schemas import RowsAnswer
from app.dependencies import DatasetId, PrincipalDep, StateDep, router

routes = router("/v1/datasets", "datasets")


@routes.get(
    "/{dataset_id}/rows",
    response_model=RowsAnswer,
    summary="Read rows",
    response_description="A page of rows.",
)
def rows(
    dataset_id: DatasetId,
    state: StateDep,
    principal: PrincipalDep,
    after: Annotated[
        int, Query(ge=-1, lt=2**53, description="Row number before the page.", examples=[19])
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most rows of the page.", examples=[100])] = 20,
) -> dict[str, Any]:
    """Rows with their values; a missing one is null. Rows count from 0."""
    with state.database.reading() as session:
        dataset = service.get(session, principal, dataset_id)
        source = parquet.source(session, state.blobs, state.cache, dataset)
        data = parquet.rows(source, after + 1, limit)
    last = after + len(data)
    return {
        "data": data,
        "first_id": after + 1 if data else None,
        "last_id": last if data else None,
        "has_more": last + 1 < dataset.row_count,
    }


@routes.get(
    "/{dataset_id}/content",
    summary="Download as Parquet",
    response_class=Response,
    response_description="The file.",
    responses={200: {"content": {"application/vnd.apache.parquet": {}}}},
)
def content(dataset_id: DatasetId, state: StateDep, principal: PrincipalDep) -> Response:
    """The typed columns, as one Parquet file."""
    kind = "application/vnd.apache.parquet"
    with state.database.reading() as session:
        dataset = service.get(session, principal, dataset_id)
        source = parquet.source(session, state.blobs, state.cache, dataset)
    if isinstance(source, Path):
        return FileResponse(source, media_type=kind, filename=f"{dataset.id}.parquet")
    return Response(source.getvalue(), media_type=kind)
