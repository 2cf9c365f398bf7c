"""For Prometheus: how this server does."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from app.dependencies import PROBLEMS, StateDep

routes = APIRouter(tags=["operations"], responses=PROBLEMS)

SCHEMA: dict[str, Any] = {
    "type": "string",
    "description": "Families of samples, in Prometheus's text format.",
    "examples": ['# TYPE chainrule_jobs gauge\nchainrule_jobs{status="queued"} 3.0\n'],
}


@routes.get(
    "/metrics",
    summary="Tell Prometheus how the server does",
    response_class=Response,
    responses={
        200: {
            "description": "What docs/metrics.md lists. An OpenMetrics answer where Accept asks for one.",
            "content": {"text/plain": {"schema": SCHEMA}, "application/openmetrics-text": {"schema": SCHEMA}},
        }
    },
)
async def metrics(
    request: Request,
    state: StateDep,
    accept: Annotated[
        str, Header(description="Formats that are wanted.", examples=["application/openmetrics-text"])
    ] = "",
) -> Response:
    """Requests, latencies, the queue, workers, the database and the disk.

    Needs an admin key, or the key that CHAINRULE_METRICS_KEY sets and that is good for nothing else; with
    CHAINRULE_METRICS_OPEN it needs none.
    """
    principal = request.scope["state"].get("principal")
    if principal is not None:  # else the gate has let nobody in but those who need none
        principal.need("admin")
    page = await state.metrics.page(accept)
    return Response(page.content, media_type=page.media_type)
